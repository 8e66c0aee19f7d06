// Where the plot lies in its frame: layout for the present size, zoom, pan. Its heir has the graph (`index`), the theme, the
// elements (`frame`, `canvas`, `ctx`, `layers`) and paints.

const MAX_ZOOM = 12, FIRST_SQUEEZE = 0.32, LEFT = 44, RIGHT = 10;
const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));

class CanvasView {
  resize() {
    const { clientWidth, clientHeight } = this.frame;
    if (this.index && (!this.view || clientWidth !== this.width || clientHeight !== this.height)) this.replan();
  }

  /** Lay the graph out anew for the present size. Tilted texts take room from the plot, so flat ones are tried first. */
  replan() {
    const { clientWidth, clientHeight } = this.frame, before = this.view && { ...this.view, plan: this.plan, home: this.home };
    if (!clientWidth || !clientHeight) return; // hidden, as in a closed tab: ResizeObserver calls again
    [this.width, this.height] = [clientWidth, clientHeight];
    const { kind, position } = this.index.nodes, seen = new Set();
    this.tilted = false;
    kind.forEach((k, i) => {
      if (k === LOGIT) this.tilted ||= seen.has(position[i]), seen.add(position[i]);
    });
    this.ctx.font = font(this.theme, TEXT_SIZE);
    const textWidth = (text) => this.ctx.measureText(text.slice(0, 40)).width;
    const top = this.tilted ? LOGIT_BAND : 26, width = Math.max(50, this.width - LEFT - RIGHT);
    for (this.rotated of [false, true]) {
      const height = Math.max(50, this.height - top - (this.rotated ? TOKEN_BAND : 26));
      this.box = { left: LEFT, top, width, height };
      this.plan = layOut(this.index, width, height, textWidth);
      this.home = Math.max(width / this.plan.width, FIRST_SQUEEZE);
      if (this.plan.names.every((name, c) => Math.min(textWidth(name), MAX_TOKEN) + 4 < this.plan.widths[c] * this.home)) break;
    }
    this.fitted.clear(); // another font may have come
    for (const canvas of [this.canvas, ...Object.values(this.layers)]) {
      canvas.width = Math.round(this.width * devicePixelRatio);
      canvas.height = Math.round(this.height * devicePixelRatio);
    }
    if (before && (before.kx !== before.home || before.ky !== 1)) { // the same graph in another size: stay where we are
      const kx = (before.kx * this.home) / before.home, along = (kx * this.plan.width) / (before.kx * before.plan.width);
      const ty = (before.ty * this.plan.height) / before.plan.height;
      return this.setView({ kx, ky: before.ky, tx: before.tx * along, ty });
    }
    // The answer is read at the last position: a graph too wide to show whole opens at its right end.
    this.setView({ kx: this.home, ky: 1, tx: -Infinity, ty: 0 });
  }

  setView({ kx, ky, tx, ty }) {
    const { plan, box } = this, fitX = box.width / plan.width;
    kx = clamp(kx, fitX, MAX_ZOOM), ky = clamp(ky, 1, MAX_ZOOM);
    tx = clamp(tx, box.width - plan.width * kx, 0), ty = clamp(ty, box.height - plan.height * ky, 0);
    this.view = { kx, ky, tx, ty };
    const left = box.left + tx, top = box.top + ty;
    this.screen = {
      kx, ky, count: plan.x.length,
      nodeScale: clamp(plan.rowHeight / 18, 0.6, 1.25) * clamp(Math.min(kx, Math.sqrt(kx * ky)), 0.6, 1.7),
      x: (node) => left + plan.x[node] * kx,
      y: (node) => top + plan.y[node] * ky,
      column: (c) => left + plan.lefts[c] * kx,
      row: (r) => top + (plan.height - (r + 0.5) * plan.rowHeight) * ky,
    };
    // Where there is nothing to pan to vertically a finger's vertical swipe belongs to the page.
    this.canvas.style.touchAction = ky > 1 || this.boxMode ? "none" : "pan-y";
    this.repaint();
  }

  /** Zoom about a point; buttons and keys, which have none, about the cursor's or the selected node, else the middle. */
  zoomAbout(factor, px, py) {
    if (px === undefined) {
      const node = this.hovered >= 0 ? this.hovered : this.index.byId.get(this.selectedId);
      [px, py] = node === undefined ? [this.width / 2, this.height / 2] : [this.screen.x(node), this.screen.y(node)];
    }
    const { kx, ky, tx, ty } = this.view, { left, top, width } = this.box;
    const nextX = clamp(kx * factor, width / this.plan.width, MAX_ZOOM), nextY = clamp(ky * factor, 1, MAX_ZOOM);
    const x = px - left, y = py - top;
    this.setView({ kx: nextX, ky: nextY, tx: x - ((x - tx) * nextX) / kx, ty: y - ((y - ty) * nextY) / ky });
  }

  fit() {
    this.setView({ kx: 0, ky: 1, tx: 0, ty: 0 });
  }

  pan(dx, dy) {
    const { kx, ky, tx, ty } = this.view;
    this.setView({ kx, ky, tx: tx + dx, ty: ty + dy });
  }

  /** Pan just enough to bring a node into the plot: the keyboard can walk out of a zoomed view. */
  reveal(node) {
    const { left, top, width, height } = this.box, x = this.screen.x(node), y = this.screen.y(node);
    const dx = clamp(x, left + 12, left + width - 12) - x, dy = clamp(y, top, top + height) - y;
    if (dx || dy) this.pan(dx, dy);
  }

  placeOf = (node) => ({ x: this.screen.x(node), y: this.screen.y(node) });
}
