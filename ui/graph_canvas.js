// The component: one GraphCanvas for each key, kept over Streamlit's reruns and redrawn only when something that
// shows has changed. The selection lives here and is told to Python. Labels and tokens are hostile until proven otherwise:
// they reach the page through fillText and textContent alone.

const HOVER_REACH = 14, DRAG_THRESHOLD = 4, MAX_ZOOM = 12, FIRST_SQUEEZE = 0.32, LEFT = 44, RIGHT = 10;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));
const digits = (value) => (value === 0 ? "0" : Math.abs(value) >= 1000 ? value.toFixed(0) : String(+value.toPrecision(3)));

function make(tag, className, attributes = {}, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

class GraphCanvas {
  constructor() {
    this.selectedId = this.sentId = null;
    this.hovered = -1;
    this.redraws = 0;
    this.pointers = new Map();
    this.layers = { backdrop: document.createElement("canvas"), nodes: document.createElement("canvas") };
    this.buildDom();
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.frame);
    // Streamlit's font may arrive after the first drawing; texts were measured with another one.
    document.fonts.ready.then(() => this.index && this.replan());
  }

  buildDom() {
    this.root = make("div", "hypograph");
    const bar = make("div", "bar"), legend = make("div", "legend"), buttons = make("div", "buttons");
    for (const [shape, name] of [["feature", "feature"], ["error", "error"], ["square", "token, logit"], ["bias", "bias"]]) {
      const item = make("span", "item");
      item.append(make("span", `mark ${shape}`, { "aria-hidden": "true" }), name);
      if (shape === "bias") this.biasItem = item;
      legend.append(item);
    }
    for (const sign of ["positive", "negative"]) {
      const item = make("span", "item");
      item.append(make("span", `line ${sign}`, { "aria-hidden": "true" }), sign);
      legend.append(item);
    }
    const actions = [["+", "Zoom in", () => this.zoomAbout(1.4)], ["−", "Zoom out", () => this.zoomAbout(1 / 1.4)],
      ["fit", "Fit the whole graph", () => this.fit()]];
    for (const [text, title, action] of actions) {
      const button = make("button", "button", { type: "button", title, "aria-label": title }, text);
      button.addEventListener("click", action);
      buttons.append(button);
    }
    this.frame = make("div", "frame");
    this.canvas = make("canvas", "canvas", { "data-testid": "graph-canvas", tabindex: "0", role: "application" });
    this.tooltip = make("div", "tooltip", { "data-testid": "graph-tooltip", "aria-hidden": "true" });
    this.tooltip.hidden = true;
    this.live = make("div", "live", { "aria-live": "polite", "data-testid": "graph-live" });
    bar.append(legend, buttons);
    this.frame.append(this.canvas, this.tooltip);
    this.root.append(bar, this.frame, this.live);
    this.ctx = this.canvas.getContext("2d");
    const self = this;
    // What browser tests look at; nothing can be changed through it.
    this.canvas.hypograph = Object.freeze({
      position(id) {
        const node = self.index.byId.get(id);
        return node === undefined ? null : { x: self.screen.x(node), y: self.screen.y(node) };
      },
      ids: () => [...self.index.nodes.id],
      selected: () => self.selectedId,
      hovered: () => self.index.nodes.id[self.hovered] ?? null,
      pins: () => self.pins.map((node) => self.index.nodes.id[node]),
      labels: () => ({ ...self.labels }),
      zoom: () => ({ x: self.view.kx, y: self.view.ky }),
      get redraws() { return self.redraws; },
    });
  }

  /** Streamlit calls this on every rerun that changed the data or the theme; `moved` at a new place on the page. */
  render({ data, setStateValue, setTriggerValue }, moved) {
    this.pin = (id) => setTriggerValue("pin", id);
    this.send = (id) => setStateValue("selected", (this.sentId = id));
    if (moved) this.sentId = null; // Python forgets the state of a component that leaves the page
    const overlay = data.overlay ?? {}, overlayKey = JSON.stringify(overlay), theme = readTheme(this.root);
    const newGraph = data.rev !== this.rev, newTheme = theme.signature !== this.theme?.signature;
    const newOverlay = newGraph || overlayKey !== this.overlayKey;
    this.theme = theme;
    if (newGraph) {
      this.rev = data.rev;
      this.index = indexGraph(JSON.parse(data.graph));
      this.hovered = -1;
      this.tooltip.hidden = true;
      this.biasItem.hidden = !this.index.hasBias;
      this.canvas.setAttribute("aria-label", this.description());
    }
    if (newOverlay) {
      this.overlayKey = overlayKey;
      this.labels = overlay.labels ?? {};
      this.pins = (overlay.pins ?? []).map((id) => this.index.byId.get(id)).filter((node) => node !== undefined);
    }
    for (const sign of ["positive", "negative"]) this.root.style.setProperty(`--${sign}`, css(theme[sign]));
    if (newGraph) this.view = null; // the old geometry knows other nodes
    if (newGraph) this.replan();
    else if (newTheme || newOverlay) this.repaint();
    const { select } = data;
    if (select && select.nonce !== this.nonce) {
      this.nonce = select.nonce;
      this.select(select.id ?? null);
    } else if (moved) this.select(this.selectedId);
  }

  description() {
    const { nodes, edges, tokens, n_layers } = this.index;
    return `Attribution graph: ${nodes.id.length} nodes and ${edges.share.length} edges, ${tokens.length} tokens by ` +
      `${n_layers} layers. Arrow keys move between nodes, Enter selects, Escape clears, plus and minus zoom, 0 fits.`;
  }

  labelOf = (node) => {
    const { id, label } = this.index.nodes;
    return (Object.hasOwn(this.labels, id[node]) && this.labels[id[node]]) || label[node] || id[node];
  };

  textOf = (node) => this.index.texts?.[this.index.nodes.text?.[node]] ?? "";

  /** What the card's head shows of a node; the id alone of one that is not drawn. */
  headOf(id) {
    const node = this.index.byId.get(id), { nodes, figure_names } = this.index;
    if (node === undefined || !nodes.name) return { id };
    const figures = nodes.figures[node].map(([name, value]) => [figure_names[name], value]);
    return { id, name: nodes.name[node], text: this.textOf(node), figures };
  }

  // --- geometry ---

  resize() {
    const { clientWidth, clientHeight } = this.frame;
    if (this.index && (!this.view || clientWidth !== this.width || clientHeight !== this.height)) this.replan();
  }

  /** Lay the graph out anew for the present size. Tilted texts take room from the plot, so flat ones are tried first. */
  replan() {
    const { clientWidth, clientHeight } = this.frame;
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
    for (const canvas of [this.canvas, this.layers.backdrop, this.layers.nodes]) {
      canvas.width = Math.round(this.width * devicePixelRatio);
      canvas.height = Math.round(this.height * devicePixelRatio);
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
    this.canvas.style.touchAction = ky > 1 ? "none" : "pan-y";
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

  // --- painting ---

  scene() {
    const { index, plan, screen, theme, box, rotated, tilted, labelOf, hovered, width, height } = this;
    const selected = index.byId.get(this.selectedId) ?? -1; // a node that pruning removed stays selected, undrawn
    return { index, plan, screen, theme, box, rotated, tilted, labelOf, hovered, selected,
      overlay: { pins: this.pins }, canvas: { width, height } };
  }

  /** Redraw the layers that stay while the mouse moves, and the frame. */
  repaint() {
    if (!this.view) return;
    const scene = this.scene();
    for (const [name, paint] of [["backdrop", paintBackdrop], ["nodes", paintNodes]]) {
      const ctx = this.layers[name].getContext("2d");
      ctx.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
      ctx.clearRect(0, 0, this.width, this.height);
      paint(ctx, scene);
    }
    this.paint();
  }

  paint() {
    if (!this.view) return;
    this.redraws += 1;
    this.ctx.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    paintFrame(this.ctx, this.scene(), this.layers);
  }

  // --- selection and hover ---

  select(id) {
    if (id !== this.selectedId) {
      this.selectedId = id;
      this.paint();
      window.dispatchEvent(new CustomEvent("hypograph-select", { detail: this.headOf(id) }));
      const node = this.index.byId.get(id);
      this.live.textContent = node === undefined ? "Selection cleared" : `Selected: ${this.facts(node).join(", ")}`;
      if (node !== undefined && this.view) this.reveal(node);
    }
    if (id !== this.sentId) this.send(id);
  }

  toggle(node) {
    const id = this.index.nodes.id[node] ?? null;
    this.select(id === this.selectedId ? null : id);
  }

  hover(node) {
    if (node === this.hovered) return;
    this.hovered = node;
    this.paint();
    this.showTooltip(node);
  }

  /** What is known of a node, line by line: label, what it is and where, numbers, what errors and embeddings are. */
  facts(node) {
    const { kind, layer, position, value, influence, probability } = this.index.nodes;
    const isLayer = layer[node] >= 0 && layer[node] < this.index.n_layers;
    const token = this.index.tokens[position[node]];
    const where = [KIND_NAMES[kind[node]], isLayer ? `layer ${layer[node]}` : "",
      token === undefined ? "" : `position ${position[node]} “${token}”`];
    const numbers = kind[node] === LOGIT && probability[node] != null
      ? [`probability ${percent(probability[node])}`] : [`activation ${digits(value[node])}`];
    numbers.push(`influence ${percent(influence[node])}`);
    const note = kind[node] === ERROR || kind[node] === EMBEDDING ? this.textOf(node) : "";
    return [this.labelOf(node), where.filter(Boolean).join(" · "), numbers.join(" · "), note].filter(Boolean);
  }

  showTooltip(node) {
    this.tooltip.hidden = node < 0;
    if (node < 0) return;
    const [title, ...lines] = this.facts(node);
    this.tooltip.replaceChildren(make("div", "title", {}, title), ...lines.map((line) => make("div", "fact", {}, line)));
    const { offsetWidth, offsetHeight } = this.tooltip, x = this.screen.x(node), y = this.screen.y(node);
    const right = x + 14 + offsetWidth < this.width, below = y - offsetHeight - 10 < 0;
    this.tooltip.style.left = `${clamp(right ? x + 14 : x - 14 - offsetWidth, 2, this.width - offsetWidth - 2)}px`;
    this.tooltip.style.top = `${clamp(below ? y + 12 : y - offsetHeight - 10, 2, this.height - offsetHeight - 2)}px`;
  }

  // --- input ---

  listen() {
    const on = (name, handler, options) => this.canvas.addEventListener(name, handler, options);
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) on(name, (event) => this.pointers.delete(event.pointerId));
    on("pointerleave", () => this.hover(-1));
    on("click", (event) => {
      if (this.dragged || event.detail > 1) return; // the second click of a double click means 'fit', not 'toggle back'
      this.toggle(this.nodeAt(event));
      this.tooltip.hidden = true; // it would lie on the edges that the click has just shown
    });
    on("dblclick", () => this.fit());
    on("keydown", (event) => this.press_key(event));
    on("blur", () => this.hover(-1));
    on("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // a plain wheel scrolls the page
      event.preventDefault();
      this.hover(-1);
      this.zoomAbout(Math.exp(-clamp(event.deltaY, -120, 120) * 0.003), event.offsetX, event.offsetY);
    }, { passive: false });
  }

  nodeAt(event) {
    const { left, top, width, height } = this.box, { offsetX: x, offsetY: y } = event;
    const inside = x > left - 6 && x < left + width + 6 && y > top - HOVER_REACH && y < top + height + HOVER_REACH;
    return inside ? nearestNode(this.screen, x, y, HOVER_REACH) : -1;
  }

  press(event) {
    if (this.pointers.size === 0) this.dragged = false;
    this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.start = { x: event.offsetX, y: event.offsetY };
    this.canvas.setPointerCapture(event.pointerId);
  }

  move(event) {
    const before = this.pointers.get(event.pointerId), now = { x: event.offsetX, y: event.offsetY };
    if (!before) return this.hover(this.nodeAt(event));
    if (!this.dragged && Math.hypot(now.x - this.start.x, now.y - this.start.y) < DRAG_THRESHOLD) return;
    this.dragged = true;
    this.hover(-1);
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    if (!other) return this.pan(now.x - before.x, now.y - before.y);
    const spread = (point) => Math.max(20, Math.hypot(point.x - other.x, point.y - other.y));
    this.zoomAbout(spread(now) / spread(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
  }

  press_key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    if (ARROWS[key]) this.step(...ARROWS[key]);
    else if (key === "Enter" || key === " ") this.hovered >= 0 && this.toggle(this.hovered);
    else if (key === "Escape") this.hover(-1), this.select(null);
    else if (key === "+" || key === "=") this.zoomAbout(1.4);
    else if (key === "-" || key === "_") this.zoomAbout(1 / 1.4);
    else if (key === "0") this.fit();
    else if (key === "p") this.selectedId !== null && this.pin(this.selectedId);
    else return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has shortcuts of its own
  }

  /** Move the keyboard's cursor (drawn as the hover) from where it is, else the selection, else the first logit. */
  step(dx, dy) {
    const { byId, nodes } = this.index;
    const from = this.hovered >= 0 ? this.hovered : (byId.get(this.selectedId) ?? -1);
    const next = from >= 0 ? nodeInDirection(this.screen, from, dx, dy) : Math.max(0, nodes.kind.indexOf(LOGIT));
    if (!nodes.id.length) return;
    this.reveal(next);
    this.hover(next);
    this.live.textContent = this.facts(next).join(", ");
  }
}

// By Streamlit's key, not by place: when a rerun or a page switch mounts the component anew, selection and zoom stay.
const canvases = new Map();

export default function (component) {
  const { parentElement, data } = component;
  if (!canvases.has(data.key)) canvases.set(data.key, new GraphCanvas());
  const view = canvases.get(data.key);
  const moved = view.root.parentNode !== parentElement;
  if (moved) parentElement.append(view.root);
  view.render(component, moved);
  return () => {
    if (view.root.parentNode === parentElement) view.root.remove(); // unless it has already moved to its next place
  };
}
