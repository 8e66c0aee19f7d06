// The component: one GraphCanvas for each key, kept over Streamlit's reruns and redrawn only when something that
// shows has changed. The selection lives here and is told to Python. Labels and tokens are hostile until proven otherwise:
// they reach the page through fillText and textContent alone.

class GraphCanvas extends CanvasView {
  constructor() {
    super();
    this.selectedId = this.sentId = null; // the node of the card; told to Python
    this.others = new Set(); // ids of what is selected beside it; known here alone
    this.filter = NO_FILTER;
    this.hovered = this.corner = this.pathAt = this.matchAt = -1;
    this.boxMode = this.pathsOpen = false;
    this.band = null;
    this.query = "";
    this.placed = this.hoverLinks = [];
    this.redraws = 0;
    this.layers = {};
    for (const name of ["backdrop", "nodes", "focus"]) this.layers[name] = document.createElement("canvas");
    this.fitted = new Map(); // labels cut to their width
    this.buildDom();
    this.drag = new NodeDrag(this);
    this.input = new CanvasInput(this);
    new ResizeObserver(() => this.resize()).observe(this.frame);
    // Streamlit's font may arrive after the first drawing; texts were measured with another one.
    document.fonts.ready.then(() => this.index && this.replan());
  }

  buildDom() {
    this.root = make("div", "hypograph");
    this.frame = make("div", "frame");
    this.canvas = make("canvas", "canvas", { "data-testid": "graph-canvas", tabindex: "0", role: "application" });
    this.tooltip = make("div", "tooltip", { "data-testid": "graph-tooltip", "aria-hidden": "true" });
    this.tooltip.hidden = true;
    this.live = make("div", "live", { "aria-live": "polite", "data-testid": "graph-live" });
    this.tools = new CanvasTools(this);
    this.frame.append(this.canvas, this.tools.filterPanel.root, this.tools.pathPanel.root, this.tooltip, this.tools.keys);
    this.root.append(this.tools.root, this.legend(), this.tools.status, this.frame, this.live);
    this.ctx = this.canvas.getContext("2d");
    const self = this, name = (node) => self.index.nodes.id[node], names = (nodes) => nodes.map(name);
    // What browser tests look at; nothing can be changed through it.
    this.canvas.hypograph = Object.freeze({
      position(id) {
        const node = self.index.byId.get(id);
        return node === undefined ? null : { x: self.screen.x(node), y: self.screen.y(node) };
      },
      ids: () => [...self.index.nodes.id],
      selected: () => self.selectedId,
      hovered: () => self.index.nodes.id[self.hovered] ?? null,
      pins: () => names(self.pins),
      labels: () => ({ ...self.labels }),
      zoom: () => ({ x: self.view.kx, y: self.view.ky }),
      selection: () => self.selection(),
      matches: () => names(self.matches),
      hidden: () => names([...self.index.nodes.id.keys()].filter((node) => self.hidden[node])),
      links: () => self.links.map((e) => [self.index.edges.source[e], self.index.edges.target[e]].map(name)),
      paths: () => self.paths?.map(({ nodes, weight }) => ({ nodes: names(nodes), weight })) ?? null,
      beside: () => self.placed.map(({ node, text, x, y, width }) => ({ id: name(node), text, x, y, width })),
      get redraws() { return self.redraws; },
    });
  }

  legend() {
    const legend = make("div", "legend");
    const item = (className, text) => {
      const made = make("span", "item");
      made.append(make("span", className, { "aria-hidden": "true" }), text);
      legend.append(made);
      return made;
    };
    item("mark feature", "feature");
    item("mark error", "error");
    item("mark square", "token, logit");
    this.biasItem = item("mark bias", "bias");
    item("line positive", "positive");
    item("line negative", "negative");
    for (const [share, text] of [[0.01, "1%"], [0.1, "10%"], [0.5, "50% of the target’s input"]])
      item("width", text).firstChild.style.height = `${edgeWidth(share)}px`;
    return legend;
  }

  /** Streamlit calls this on every rerun that changed the data or the theme; `moved` at a new place on the page. */
  render({ data, setStateValue, setTriggerValue }, moved) {
    this.pin = (ids) => setTriggerValue("pin", ids);
    this.group = (ids) => setTriggerValue("group", ids);
    this.join = (ids) => setTriggerValue("join", ids); // the last is the node that the others were dropped on
    this.send = (id) => setStateValue("selected", (this.sentId = id));
    if (moved) this.sentId = null; // Python forgets the state of a component that leaves the page
    const overlay = data.overlay ?? {}, overlayKey = JSON.stringify(overlay), theme = readTheme(this.root);
    const newGraph = data.rev !== this.rev, newTheme = theme.signature !== this.theme?.signature;
    const newOverlay = newGraph || overlayKey !== this.overlayKey;
    this.theme = theme;
    if (newTheme) this.fitted.clear();
    if (newGraph) {
      this.rev = data.rev;
      this.graph = JSON.parse(data.graph);
      this.drag.end();
      this.reindex();
      this.hovered = this.corner = this.matchAt = -1;
      for (const id of this.others) if (!this.index.byId.has(id)) this.others.delete(id);
      this.tooltip.hidden = true;
      this.biasItem.hidden = !this.index.hasBias;
      this.canvas.setAttribute("aria-label", descriptionOf(this.index));
    }
    if (newOverlay) {
      this.overlayKey = overlayKey;
      this.labels = overlay.labels ?? {};
      this.pins = (overlay.pins ?? []).map((id) => this.index.byId.get(id)).filter((node) => node !== undefined);
    }
    this.root.style.colorScheme = theme.dark ? "dark" : "light";
    for (const sign of ["positive", "negative"]) this.root.style.setProperty(`--${sign}`, css(theme[sign]));
    if (newGraph) this.view = null; // the old geometry knows other nodes
    if (newOverlay) this.refocus();
    if (newGraph) this.replan();
    else if (newTheme || newOverlay) this.repaint();
    const { select } = data;
    if (select && select.nonce !== this.nonce) {
      this.nonce = select.nonce;
      const id = select.id ?? null; // of the card: other nodes that are selected beside it are no affair of Python's
      if (id !== this.selectedId) this.select(id);
      else if (id !== this.sentId) this.send(id);
    } else if (moved && this.selectedId !== null) this.send(this.selectedId);
  }

  labelOf = (node) => {
    const { id, label } = this.index.nodes;
    return (Object.hasOwn(this.labels, id[node]) && this.labels[id[node]]) || label[node] || id[node];
  };

  // --- painting ---

  scene() {
    const { index, plan, screen, theme, box, rotated, tilted, labelOf, labels, fitted, hovered, hoverLinks, width, height,
      hidden, chosen, links, paths, pathAt, matches, placed } = this;
    const selected = index.byId.get(this.selectedId) ?? -1; // a node that pruning removed stays selected, undrawn
    const corner = this.corner >= 0 && hovered >= 0 ? [this.corner, hovered].map((node) => this.placeOf(node)) : null;
    return { index, plan, screen, theme, box, rotated, tilted, labelOf, labels, fitted, hovered, hoverLinks, selected, hidden,
      chosen, links, paths, pathAt, matches, placed, band: this.band ?? corner, drag: this.drag,
      overlay: { pins: this.pins }, canvas: { width, height } };
  }

  /** Redraw layers, which stay while the mouse moves, and the frame. */
  repaint(names = ["backdrop", "nodes", "focus"]) {
    if (!this.view) return;
    this.placed = this.filter.labels ? placeLabels(this.ctx, this.scene()) : [];
    const scene = this.scene(), paints = { backdrop: paintBackdrop, nodes: paintNodes, focus: paintFocus };
    for (const name of names) {
      const ctx = this.layers[name].getContext("2d");
      ctx.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
      ctx.clearRect(0, 0, this.width, this.height);
      paints[name](ctx, scene);
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

  /** Ids of all that is selected, the card's node first. */
  selection() {
    return [...(this.index.byId.has(this.selectedId) ? [this.selectedId] : []), ...this.others];
  }

  /** What follows from selection, pins, filter and search: what is hidden, which links, which paths. Gives the layers
   *  that have to be drawn anew (undefined: all). */
  refocus() {
    const { index, filter } = this, before = this.hidden;
    this.chosen = this.selection().map((id) => index.byId.get(id));
    ({ hidden: this.hidden, reasons: this.reasons } = hiddenNodes(index, filter, new Set([...this.chosen, ...this.pins])));
    ({ edges: this.links, total: this.linkTotal } = linksShown(index, this.hidden, this.chosen, this.pins, filter));
    const [a, b] = this.chosen;
    this.pathsOpen &&= this.chosen.length === 2;
    this.paths = this.pathsOpen ? pathsBetween(index, this.hidden, a, b) : null;
    this.pathAt = -1;
    this.matches = matchesOf(index, this.query, this.labelOf);
    if (this.hovered >= 0 && this.hidden[this.hovered]) this.hover(-1);
    this.tools.update();
    const isSame = before?.length === this.hidden.length && this.hidden.every((value, node) => value === before[node]);
    return isSame ? ["focus"] : undefined;
  }

  reindex() {
    this.index = indexGraph(this.filter.kept && this.graph.nodes.kept ? withKeptShares(this.graph) : this.graph);
  }

  refresh() {
    this.repaint(this.refocus());
  }

  setFilter(change) {
    const { kept } = this.filter;
    this.filter = { ...this.filter, ...change };
    if (this.filter.kept !== kept) this.reindex();
    this.refresh();
  }

  find(query) {
    this.query = query;
    this.matchAt = -1;
    this.refresh();
  }

  nextMatch(step) {
    const { length } = this.matches;
    if (!length) return;
    this.matchAt = this.matchAt < 0 ? (step > 0 ? 0 : length - 1) : (this.matchAt + step + length) % length;
    this.select(this.index.nodes.id[this.matches[this.matchAt]]);
    this.tools.update();
  }

  /** One node alone, or none. */
  select(id) {
    if (id !== this.selectedId || this.others.size) {
      const isNew = id !== this.selectedId;
      this.selectedId = id;
      this.others.clear();
      this.refresh();
      if (isNew) window.dispatchEvent(new CustomEvent("hypograph-select", { detail: headOf(this, id) }));
      const node = this.index.byId.get(id);
      this.live.textContent = node === undefined ? "Selection cleared" : `Selected: ${factsOf(this, node).join(", ")}`;
      if (node !== undefined && this.view) this.reveal(node);
    }
    if (id !== this.sentId) this.send(id);
  }

  toggle(node) {
    const id = this.index.nodes.id[node] ?? null;
    this.select(id === this.selectedId && !this.others.size ? null : id);
  }

  /** One node more, or one less. The first of all is the card's. */
  extend(node) {
    const id = this.index.nodes.id[node];
    if (this.selectedId === null && !this.others.size) return this.select(id);
    if (id !== this.selectedId) {
      if (!this.others.delete(id)) this.others.add(id);
      this.refresh();
    } else {
      const [next = null, ...rest] = this.others;
      this.select(next);
      this.choose(rest);
    }
    this.live.textContent = `${count(this.chosen.length, "node")} selected`;
  }

  choose(ids) {
    for (const id of ids) if (id !== this.selectedId) this.others.add(id);
    this.refresh();
  }

  chooseBox(a, b) {
    this.choose(nodesInBox(this.screen, this.hidden, a, b).map((node) => this.index.nodes.id[node]));
    this.live.textContent = `${count(this.chosen.length, "node")} selected`;
  }

  setBoxMode(on) {
    this.boxMode = on;
    this.corner = -1;
    this.canvas.classList.toggle("boxing", on);
    this.canvas.style.touchAction = on || this.view.ky > 1 ? "none" : "pan-y";
    this.live.textContent = on ? "Box: drag, or press Enter at two nodes" : "Box off";
    this.tools.update();
  }

  setBand(band) {
    this.band = band;
    this.paint();
  }

  /** The box by keyboard: Enter at one node, then at another. */
  setCorner(node) {
    if (this.corner < 0) {
      this.corner = node;
      this.live.textContent = "First corner set";
    } else {
      const corner = this.corner;
      this.corner = -1;
      this.chooseBox(this.placeOf(corner), this.placeOf(node));
    }
  }

  escape() {
    if (this.pathsOpen) return this.showPaths(false);
    this.corner = -1;
    this.hover(-1);
    this.select(null);
  }

  pinSelected() {
    const ids = this.selection();
    if (ids.length) this.pin(ids);
  }

  groupSelected() {
    const ids = this.selection();
    if (ids.length > 1) this.group(ids);
    else this.live.textContent = "A group needs two selected nodes";
  }

  showPaths(open) {
    if (open && this.chosen.length !== 2) {
      this.live.textContent = "Paths need two selected nodes";
      return;
    }
    const wasOpen = this.pathsOpen;
    this.pathsOpen = open;
    this.refresh();
    if (open) this.live.textContent = count(this.paths.length, "path");
    else if (wasOpen) this.canvas.focus();
  }

  pointAtPath(i) {
    this.pathAt = i;
    if (this.paths) this.repaint(["focus"]);
  }

  hover(node) {
    if (node === this.hovered) return;
    this.hovered = node;
    const { index, hidden, filter } = this, links = ["inputs", "outputs"].includes(filter.links) ? filter.links : "either";
    this.hoverLinks = node < 0 ? [] : linksShown(index, hidden, [node], [], { ...filter, links }).edges;
    this.paint();
    this.showTooltip(node);
  }

  showTooltip(node) {
    this.tooltip.hidden = node < 0;
    if (node < 0) return;
    const [title, ...lines] = factsOf(this, node), { x, y } = this.placeOf(node);
    this.putTooltip(x, y, [make("div", "title", {}, title), ...lines.map((line) => make("div", "fact", {}, line))]);
  }

  putTooltip(x, y, lines) {
    this.tooltip.hidden = false;
    this.tooltip.replaceChildren(...lines);
    const { offsetWidth, offsetHeight } = this.tooltip;
    const right = x + 14 + offsetWidth < this.width, below = y - offsetHeight - 10 < 0;
    this.tooltip.style.left = `${clamp(right ? x + 14 : x - 14 - offsetWidth, 2, this.width - offsetWidth - 2)}px`;
    this.tooltip.style.top = `${clamp(below ? y + 12 : y - offsetHeight - 10, 2, this.height - offsetHeight - 2)}px`;
  }

  // --- keyboard's cursor, files ---

  /** Move the keyboard's cursor (drawn as the hover) from where it is, else the selection, else the first logit. */
  step(dx, dy) {
    const { byId, nodes } = this.index;
    const from = this.hovered >= 0 ? this.hovered : (byId.get(this.selectedId) ?? -1);
    const next = from >= 0 ? nodeInDirection(this.screen, this.hidden, from, dx, dy) : Math.max(0, nodes.kind.indexOf(LOGIT));
    if (nodes.id.length) this.moveCursor(next);
  }

  /** Along a link: dy 1 to the strongest input of the node at the cursor, −1 to its strongest output. */
  follow(dy) {
    const from = this.hovered >= 0 ? this.hovered : (this.index.byId.get(this.selectedId) ?? -1);
    if (from < 0) return this.step(0, dy);
    this.moveCursor(nodeAlongLink(this.index, this.hidden, from, dy));
  }

  moveCursor(node) {
    this.reveal(node);
    this.hover(node);
    this.live.textContent = factsOf(this, node).join(", ");
  }

  async saveImage(type) {
    const scene = { ...this.scene(), hovered: -1, band: null }, notes = [
      `Edges: solid teal positive, dashed amber negative; width by share of the target’s ${this.filter.kept ? "kept " : ""}input.`,
      ...(this.reasons.length ? [`Not drawn: ${this.reasons.map(({ reason }) => reason).join(", ")}.`] : []),
      this.index.credit ?? "",
    ].filter(Boolean);
    download(await (type === "png" ? pngOf(scene, notes) : svgOf(scene, notes)), `${this.index.file_name ?? "graph"}.${type}`);
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
