// The tools above the canvas and the line that says what is hidden and what is selected. Each has a key or is reached by Tab.

class CanvasTools {
  constructor(view) {
    this.view = view;
    this.root = make("div", "tools", { role: "group", "aria-label": "Tools of the graph" });
    this.filterPanel = new FilterPanel(view);
    this.pathPanel = new PathPanel(view);
    this.keys = keysDialog();
    this.buildSearch();
    this.links = this.choice("Edges of the selected nodes", LINK_TYPES, (value) => view.setFilter({ links: value }));
    this.strongest = this.choice("How many edges", STRONGEST.map((n) => [n, n ? `${n} strongest` : "all edges"]),
      (value) => view.setFilter({ strongest: Number(value) }));
    this.filter = this.button("Filter", "Filter: hide errors, bias nodes, layers, or features of most tokens", () => this.openFilter());
    this.filter.setAttribute("aria-expanded", "false");
    this.filter.setAttribute("aria-controls", "filter");
    this.box = this.button("Box", "Box: select by dragging (b, or Shift and drag)", () => view.setBoxMode(!view.boxMode));
    this.pin = this.button("Pin", "Pin what is selected (p)", () => view.pinSelected());
    this.group = this.button("Group", "Group what is selected (g)", () => view.groupSelected());
    this.paths = this.button("Paths", "Paths: the strongest between two selected nodes (t)", () => view.showPaths(!view.paths));
    this.root.append(this.search, this.links, this.strongest, this.row(this.filter, this.box, this.pin, this.group, this.paths),
      this.row(this.button("+", "Zoom in", () => view.zoomAbout(1.4)),
        this.button("−", "Zoom out", () => view.zoomAbout(1 / 1.4)),
        this.button("fit", "Fit the whole graph", () => view.fit())),
      this.row(this.button("PNG", "Save what is seen as PNG", () => view.saveImage("png")),
        this.button("SVG", "Save what is seen as SVG", () => view.saveImage("svg"))),
      this.row(this.button("?", "Keys of the graph (?)", () => this.keys.showModal())));
    this.status = make("div", "status", { role: "status", "data-testid": "graph-status" });
    keepKeys(this.root, () => view.canvas.focus());
  }

  button(text, title, action) {
    const button = make("button", "button", { type: "button", title, "aria-label": title }, text);
    button.addEventListener("click", action);
    return button;
  }

  row(...buttons) {
    const row = make("div", "buttons");
    row.append(...buttons);
    return row;
  }

  choice(name, options, onChange) {
    const select = make("select", "field", { "aria-label": name, title: name });
    for (const [value, text] of options) select.append(make("option", "", { value }, text));
    select.addEventListener("change", () => onChange(select.value));
    return select;
  }

  buildSearch() {
    const { view } = this;
    this.search = make("div", "search");
    this.query = make("input", "field", { type: "search", placeholder: "Search ( / )", maxlength: "200",
      "aria-label": "Search nodes by name, label or token", title: "By name, label or token (/); Enter: next match" });
    this.found = make("span", "found", { role: "status", "data-testid": "graph-found" });
    this.query.addEventListener("input", () => view.find(this.query.value));
    this.query.addEventListener("keydown", (event) => {
      if (event.key === "Enter") view.nextMatch(event.shiftKey ? -1 : 1);
      else if (event.key === "Escape") view.find((this.query.value = ""));
    });
    this.search.append(this.query, this.found);
  }

  openFilter(open = this.filterPanel.root.hidden) {
    this.filterPanel.root.hidden = !open;
    this.filter.setAttribute("aria-expanded", String(open));
    if (open) this.filterPanel.ticks.errors.input.focus();
    else this.filter.focus();
  }

  /** After any change of graph, filter or selection. */
  update() {
    const { view } = this, { filter, chosen, matches, matchAt, reasons } = view;
    this.links.value = filter.links;
    this.strongest.value = String(filter.strongest);
    this.filter.classList.toggle("on", reasons.length > 0);
    this.box.setAttribute("aria-pressed", String(view.boxMode));
    this.box.classList.toggle("on", view.boxMode);
    this.pin.disabled = !chosen.length;
    this.group.disabled = chosen.length < 2;
    this.paths.disabled = chosen.length !== 2;
    if (!this.query.value) this.found.textContent = "";
    else if (!matches.length) this.found.textContent = "none";
    else this.found.textContent = matchAt < 0 ? `${matches.length} found` : `${matchAt + 1} of ${matches.length}`;
    this.filterPanel.update();
    this.pathPanel.update();
    const words = this.words();
    if (this.status.textContent !== words) this.status.textContent = words;
  }

  words() {
    const { view } = this, { chosen, links, linkTotal, reasons, paths } = view;
    const parts = [];
    if (chosen.length > 1) parts.push(`${chosen.length.toLocaleString("en")} nodes selected`);
    if (!paths && (chosen.length || linkTotal))
      parts.push((links.length < linkTotal ? `the ${links.length} strongest of ` : "") + count(linkTotal, "edge"));
    if (view.filter.kept) parts.push("shares of the kept input");
    if (reasons.length) parts.push(hiddenWords(reasons));
    return parts.join(" · ");
  }
}

const hiddenWords = (reasons) => `hidden: ${reasons.map(({ reason }) => reason).join(", ")}`;
