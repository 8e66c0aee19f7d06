// Mouse, touch and keyboard on the canvas. What they mean is the canvas's; here is only how they say it.

const HOVER_REACH = 14, DRAG_THRESHOLD = 4, CARRY_THRESHOLD = 6;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class CanvasInput {
  constructor(view) {
    this.view = view;
    this.pointers = new Map();
    this.dragged = false;
    this.mode = "pan"; // what a drag does: also "box", and "carry" a node onto another one
    const on = (name, handler, options) => view.canvas.addEventListener(name, handler, options);
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.release(event));
    on("pointercancel", (event) => this.release(event, false));
    on("pointerleave", () => view.hover(-1));
    on("click", (event) => this.click(event));
    on("dblclick", () => view.fit());
    on("keydown", (event) => this.key(event));
    on("blur", () => view.hover(-1));
    on("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // a plain wheel scrolls the page
      event.preventDefault();
      view.hover(-1);
      view.zoomAbout(Math.exp(-clamp(event.deltaY, -120, 120) * 0.003), event.offsetX, event.offsetY);
    }, { passive: false });
  }

  nodeAt(event, reach = HOVER_REACH) {
    const { box, screen, hidden } = this.view, { offsetX: x, offsetY: y } = event;
    const inside = x > box.left - 6 && x < box.left + box.width + 6 &&
      y > box.top - HOVER_REACH && y < box.top + box.height + HOVER_REACH;
    return inside ? nearestNode(screen, hidden, x, y, reach) : -1;
  }

  click(event) {
    if (this.dragged || event.detail > 1) return; // the second click of a double click means 'fit', not 'toggle back'
    const node = this.nodeAt(event);
    if (event.shiftKey || this.view.boxMode) node >= 0 && this.view.extend(node);
    else this.view.toggle(node);
    this.view.tooltip.hidden = true; // it would lie on the edges that the click has just shown
  }

  press(event) {
    const { view } = this, isFirst = this.pointers.size === 0;
    view.drag.end();
    if (isFirst) {
      this.dragged = false;
      this.mode = event.shiftKey || view.boxMode ? "box" : "pan";
      // A finger pans: it hits nodes everywhere, and has the Group button.
      const node = this.mode === "pan" && event.pointerType !== "touch" && event.button === 0 ? this.nodeAt(event, GRAB_REACH) : -1;
      if (node >= 0) this.mode = "carry", view.drag.take(node);
    } else if (this.mode === "carry") this.mode = "pan";
    this.start = { x: event.offsetX, y: event.offsetY };
    this.pointers.set(event.pointerId, this.start);
    view.canvas.setPointerCapture(event.pointerId);
  }

  move(event) {
    const before = this.pointers.get(event.pointerId), now = { x: event.offsetX, y: event.offsetY }, { view, mode } = this;
    if (!before) return view.hover(this.nodeAt(event));
    const threshold = mode === "carry" ? CARRY_THRESHOLD : DRAG_THRESHOLD;
    if (!this.dragged && Math.hypot(now.x - this.start.x, now.y - this.start.y) < threshold) return;
    this.dragged = true;
    view.hover(-1);
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    if (other) {
      const spread = (point) => Math.max(20, Math.hypot(point.x - other.x, point.y - other.y));
      this.mode = "pan";
      view.setBand(null);
      view.zoomAbout(spread(now) / spread(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
    } else if (mode === "box") view.setBand([this.start, now]);
    else if (mode === "carry") view.drag.move(now, this.nodeAt(event));
    else view.pan(now.x - before.x, now.y - before.y);
  }

  release(event, counts = true) {
    this.pointers.delete(event.pointerId);
    const { view, mode } = this, { band } = view;
    if (mode === "carry") return counts ? view.drag.drop() : view.drag.end();
    if (mode !== "box" || !this.dragged || !band) return;
    view.setBand(null);
    if (counts) view.chooseBox(...band);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key, shiftKey } = event, { view } = this;
    if (ARROWS[key] && shiftKey && ARROWS[key][1]) view.follow(ARROWS[key][1]);
    else if (ARROWS[key]) view.step(...ARROWS[key]);
    else if (key === "Enter" || key === " ") this.choose(shiftKey);
    else if (key === "Escape") view.drag.at ? view.drag.end() : view.escape();
    else if (key === "+" || key === "=") view.zoomAbout(1.4);
    else if (key === "-" || key === "_") view.zoomAbout(1 / 1.4);
    else if (key === "0") view.fit();
    else if (key === "p") view.pinSelected();
    else if (key === "g") view.groupSelected();
    else if (key === "t") view.showPaths(!view.paths);
    else if (key === "b") view.setBoxMode(!view.boxMode);
    else if (key === "/") view.tools.query.focus(), view.tools.query.select();
    else if (key === "?") view.tools.keys.showModal();
    else return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has shortcuts of its own
  }

  choose(shiftKey) {
    const { view } = this;
    if (view.hovered < 0) return;
    if (view.boxMode && !shiftKey) view.setCorner(view.hovered);
    else if (shiftKey) view.extend(view.hovered);
    else view.toggle(view.hovered);
  }
}
