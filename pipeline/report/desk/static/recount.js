// Railcars on or off: the drawing and the list of switches are two views of the same check boxes.
export function setUpRecount(panel, root, viewer) {
  const boxes = [...(panel?.querySelectorAll("input[name=car]") ?? [])];
  if (!boxes.length) return;
  const shapes = new Map([...(root?.querySelectorAll("[data-car]") ?? [])].map((shape) => [shape.dataset.car, shape]));
  const missed = panel.querySelector("#missed");

  const show = () => {
    const on = boxes.filter((box) => box.checked).length;
    for (const box of boxes) shapes.get(box.value)?.classList.toggle("off", !box.checked);
    panel.querySelector("#cars-on").textContent = on;
    panel.querySelector("#cars-sum").textContent = on + (Number.parseInt(missed.value, 10) || 0);
  };
  const enter = (box) => {
    for (const other of boxes) other.tabIndex = other === box ? 0 : -1;
    box.focus({ preventScroll: true });
  };
  const list = panel.querySelector("#cars");
  list.addEventListener("keydown", (event) => {
    const at = boxes.indexOf(event.target);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? boxes.length - 1 : at + (step ?? 0);
    if (at < 0 || to === at || !boxes[to]) return;
    event.preventDefault();
    event.stopPropagation();
    enter(boxes[to]);
  });
  list.addEventListener("focusin", (event) => {
    const shape = shapes.get(event.target.value);
    if (!shape) return;
    shape.classList.add("here");
    viewer?.reveal(shape.getBBox());
  });
  list.addEventListener("focusout", (event) => shapes.get(event.target.value)?.classList.remove("here"));
  for (const [value, shape] of shapes) {
    shape.onclick = () => {
      const box = panel.ownerDocument.getElementById(`car-${value}`);
      box.checked = !box.checked;
      box.dispatchEvent(new Event("change", { bubbles: true }));
    };
  }
  panel.addEventListener("change", show);
  panel.addEventListener("input", show);
  show();
}
