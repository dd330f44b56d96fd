"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);
  const holder = byId("chart");
  const tools = document.querySelector(".chart-tools");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const DAY = 86400000;

  if (holder && window.vegaEmbed) {
    const spec = read("chart-spec");
    const words = read("chart-words");
    const [first, last] = words.domain;
    // The longest time whose looks can still be told apart at this width is shown first.
    const passes = [...(spec.datasets.looks ?? []), ...(spec.datasets.unseen ?? [])];
    const readable = (days) => passes.filter((pass) => pass.t >= last - days * DAY).length < holder.clientWidth / 3.5;
    const start = [0, 1096, 365].find((days) => readable(days || Infinity)) ?? 365;
    let range = start > 0 ? [Math.max(first, last - start * DAY), last] : [first, last];
    let shown = null;
    let turn = 0;

    const coloured = () => {
      let text = JSON.stringify(spec);
      if (dark.matches) {
        for (const name of Object.keys(words.light)) text = text.replaceAll(`"${words.light[name]}"`, `"${words.dark[name]}"`);
      }
      return JSON.parse(text);
    };
    const date = (ms) => new Date(ms).toISOString().slice(0, 10);

    const draw = async () => {
      const mine = ++turn;
      const chart = coloured();
      chart.params.find((param) => param.name === "zoom").value = { x: range };
      const options = {
        mode: "vega-lite", ast: true, actions: false, renderer: "canvas",
        tooltip: { theme: dark.matches ? "dark" : "light", maxDepth: 1 },
      };
      const result = await window.vegaEmbed(holder, chart, options);
      if (mine !== turn) { result.finalize(); return; }
      if (shown) shown.finalize();
      shown = result;
      holder.dataset.ready = "true";
      tools.querySelector(".range").textContent = `${date(range[0])} to ${date(range[1])}`;
    };

    const fail = () => { document.documentElement.classList.add("plain"); tools.hidden = true; };

    const mark = (days) => {
      for (const button of tools.querySelectorAll("[data-days]")) {
        button.setAttribute("aria-pressed", String(Number(button.dataset.days) === days));
      }
    };
    const choose = (days) => {
      range = days > 0 ? [Math.max(first, last - days * DAY), last] : [first, last];
      mark(days);
      draw().catch(fail);
    };
    const move = (way) => {
      const width = range[1] - range[0];
      const start = Math.min(Math.max(range[0] + way * width / 2, first), last - width);
      range = [start, start + width];
      draw().catch(fail);
    };
    tools.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.days !== undefined) choose(Number(button.dataset.days));
      else move(Number(button.dataset.move));
    });
    dark.addEventListener("change", () => draw().catch(fail));
    tools.hidden = false;
    mark(start);
    draw().catch(fail);
  } else {
    document.documentElement.classList.add("plain");
  }

  const drawn = byId("drawn");
  if (drawn) {
    drawn.parentElement.hidden = false;
    drawn.addEventListener("click", () => {
      const off = document.body.classList.toggle("undrawn");
      drawn.setAttribute("aria-pressed", String(!off));
    });
  }

  const follow = () => {
    const target = location.hash.length > 1 ? byId(decodeURIComponent(location.hash.slice(1))) : null;
    if (target && target.tagName === "DETAILS") target.open = true;
  };
  window.addEventListener("hashchange", follow);
  follow();

  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const details of opened) details.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
    opened = [];
  });
})();
