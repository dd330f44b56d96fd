// The evidence: two looks in one drawing whose unit is the metre. Zooming and moving change the drawing's window.
const ZOOM = 1.5;
const BLINK_MS = 700; // below three flashes a second
const CLOSEST_M = 60; // narrowest window, metres

export function setUpViewer(root, before) {
  const stage = root?.querySelector("#stage");
  before?.stop();
  if (!stage) return null;
  const svg = stage.querySelector("svg");
  const whole = { x: 0, y: 0, w: Number(stage.dataset.width), h: Number(stage.dataset.height) };
  const swipe = root.querySelector("#swipe");
  const detections = root.querySelector("#detections");
  const modes = [...root.querySelectorAll("input[name=mode]")];
  const sides = { a: svg.querySelector("[data-side=a]"), b: svg.querySelector("[data-side=b]") };
  let view = before?.view ?? { ...whole };
  let timer = 0;
  let front = "b";

  // the drawing shows more than its window where the shapes differ
  const seen = () => {
    const scale = Math.min(stage.clientWidth / view.w, stage.clientHeight / view.h) || 1;
    const w = stage.clientWidth / scale;
    const h = stage.clientHeight / scale;
    return { x: view.x + (view.w - w) / 2, y: view.y + (view.h - h) / 2, w, h, scale };
  };
  const draw = () => {
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.h}`);
    const box = seen();
    if (swipe) {
      const at = box.x + (box.w * swipe.value) / 100;
      svg.querySelector("#clip-b rect").setAttribute("x", at);
      svg.querySelector("#clip-a rect").setAttribute("width", at + 100000);
      for (const end of ["x1", "x2"]) svg.querySelector(".wipe").setAttribute(end, at);
    }
    drawScale(stage.querySelector("[data-scale]"), box);
  };
  const zoom = (factor, cx = view.x + view.w / 2, cy = view.y + view.h / 2) => {
    const w = Math.min(Math.max(view.w / factor, CLOSEST_M), whole.w * 4);
    const k = w / view.w;
    view = { x: cx - (cx - view.x) * k, y: cy - (cy - view.y) * k, w, h: view.h * k };
    draw();
  };
  const move = (dx, dy) => {
    const box = seen();
    view = { ...view, x: view.x + dx * box.w, y: view.y + dy * box.h };
    draw();
  };
  const fit = () => { view = { ...whole }; draw(); };
  const mode = () => modes.find((radio) => radio.checked)?.value ?? "b";
  const present = (which) => {
    for (const name of ["a", "b"]) {
      const away = which !== "both" && name !== which;
      sides[name]?.classList.toggle("away", away);
      stage.querySelector(`[data-tag=${name}]`)?.classList.toggle("away", away);
    }
    for (const [name, side] of Object.entries(sides)) which === "both" ? side?.setAttribute("clip-path", `url(#clip-${name})`) : side?.removeAttribute("clip-path");
  };
  const apply = () => {
    clearInterval(timer);
    const now = mode();
    stage.classList.toggle("swiping", now === "swipe");
    if (swipe) swipe.disabled = now !== "swipe";
    if (now === "swipe") present("both");
    else if (now === "blink") { present(front); timer = setInterval(flip, BLINK_MS); }
    else present((front = now));
  };
  const flip = () => { front = front === "a" ? "b" : "a"; present(front); };
  const choose = (value) => {
    const radio = modes.find((each) => each.value === value);
    if (!radio) return false;
    radio.checked = true;
    apply();
    return true;
  };
  const toggle = () => { detections.checked = !detections.checked; hide(); return true; };
  const hide = () => stage.classList.toggle("plainview", !detections.checked);
  const step = (name, by) => {
    const select = root.querySelector(`#look-${name}`);
    if (!select || !select.options[select.selectedIndex + by]) return Boolean(select);
    select.selectedIndex += by;
    select.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  };

  for (const radio of modes) radio.addEventListener("change", apply);
  detections?.addEventListener("change", hide);
  swipe?.addEventListener("input", draw);
  for (const button of root.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => ({ in: () => zoom(ZOOM), out: () => zoom(1 / ZOOM), fit })[button.dataset.zoom]());
  }
  drag(stage, () => view, (next) => { view = next; draw(); }, () => seen().scale);
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== stage) return; // the page scrolls, unless the image has the focus
    event.preventDefault();
    const box = seen();
    const at = stage.getBoundingClientRect();
    zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, box.x + (event.clientX - at.left) / box.scale, box.y + (event.clientY - at.top) / box.scale);
  }, { passive: false });
  const watcher = new ResizeObserver(draw);
  watcher.observe(stage);
  if (before) { choose(before.mode()); if (detections) { detections.checked = before.marked(); hide(); } if (swipe && before.at) swipe.value = before.at(); }
  apply();
  draw();

  const KEYS = {
    1: () => choose("a"), 2: () => choose("b"), b: () => choose(mode() === "blink" ? "swipe" : "blink"),
    s: () => choose("swipe") && (swipe.focus(), true), x: () => (modes.length ? (choose(front === "a" ? "b" : "a"), true) : false),
    d: toggle, "+": () => (zoom(ZOOM), true), "=": () => (zoom(ZOOM), true), "-": () => (zoom(1 / ZOOM), true), 0: () => (fit(), true),
    "[": () => step("b", -1), "]": () => step("b", 1), "{": () => step("a", -1), "}": () => step("a", 1),
  };
  const ARROWS = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
  return {
    key(event) {
      if (ARROWS[event.key] && document.activeElement === stage) return move(...ARROWS[event.key]), true;
      return KEYS[event.key]?.() ?? false;
    },
    reveal(thing) { // moves only when it lies outside of what is seen
      const box = seen();
      const x = thing.x + thing.width / 2;
      const y = thing.y + thing.height / 2;
      if (x > box.x && x < box.x + box.w && y > box.y && y < box.y + box.h) return;
      view = { ...view, x: x - view.w / 2, y: y - view.h / 2 };
      draw();
    },
    stop() { clearInterval(timer); watcher.disconnect(); },
    mode,
    marked: () => detections?.checked ?? true,
    at: swipe ? () => swipe.value : null,
    get view() { return view; },
  };
}

function drawScale(bar, box) {
  if (!bar) return;
  const target = box.w / 5;
  const unit = 10 ** Math.floor(Math.log10(target));
  const metres = [5, 2, 1].map((n) => n * unit).find((n) => n <= target) ?? unit;
  bar.textContent = metres >= 1000 ? `${metres / 1000} km` : `${metres} m`;
  bar.style.width = `${metres * box.scale}px`;
}

function drag(stage, get, set, scale) {
  let from = null;
  stage.addEventListener("pointerdown", (event) => {
    if (event.button === 0) from = { x: event.clientX, y: event.clientY, view: get() };
  });
  stage.addEventListener("pointermove", (event) => {
    if (!from) return;
    const dx = event.clientX - from.x;
    const dy = event.clientY - from.y;
    if (Math.hypot(dx, dy) < 4) return;
    stage.classList.add("drag");
    stage.setPointerCapture(event.pointerId);
    set({ ...from.view, x: from.view.x - dx / scale(), y: from.view.y - dy / scale() });
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    stage.addEventListener(end, () => { from = null; setTimeout(() => stage.classList.remove("drag")); });
  }
}
