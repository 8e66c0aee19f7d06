// What opens over the canvas: the filter, the list of paths, the list of keys. Text only by textContent.

const KEYS = [
  ["← → ↑ ↓", "move the cursor to the next node that way"],
  ["Shift ↓, Shift ↑", "move it along an edge: to the strongest input, to the strongest output"],
  ["Enter, Space", "select the node at the cursor; again clears"],
  ["Shift Enter, Shift click", "add the node to the selection, or take it out"],
  ["Shift drag", "select all nodes in a box"],
  ["b", "box on or off: then dragging draws the box, or Enter at two nodes sets its corners"],
  ["p", "pin what is selected"],
  ["g", "make one group of what is selected"],
  ["Drag onto a node", "group the two, or all that is selected with it; into its group, if it has one"],
  ["t", "strongest paths between two selected nodes"],
  ["/", "search by name, label or token; Enter goes to the next match"],
  ["+, −, 0", "zoom in, zoom out, show all; also Ctrl and the wheel, and a double click"],
  ["Esc", "let go of what is dragged; close the paths; then clear cursor and selection"],
  ["?", "this list"],
  ["Shift Space", "in a table on this page: select the row"],
];

function make(tag, className, attributes = {}, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** Keys pressed in a field or on a button are for it alone: Streamlit has shortcuts of its own. */
function keepKeys(element, escape) {
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation();
    if (event.key === "Escape") event.preventDefault(), escape();
  });
}

/** A box to tick: the row and the input. */
function tick(text, onChange) {
  const row = make("label", "row"), input = make("input", "", { type: "checkbox" }), words = make("span", "", {}, text);
  input.addEventListener("change", () => onChange(input.checked));
  row.append(input, words);
  return { row, input, words };
}

class FilterPanel {
  constructor(view) {
    this.view = view;
    this.root = make("div", "panel", { id: "filter", role: "group", "aria-label": "Filter", "data-testid": "graph-filter" });
    this.root.hidden = true;
    const set = (name) => (value) => view.setFilter({ [name]: value });
    this.ticks = {
      errors: tick("", set("errors")), bias: tick("", set("bias")), common: tick("", set("common")),
      labels: tick("Labels beside nodes, where there is room", set("labels")),
      kept: tick("Shares of the input that pruning kept, not of all of it", set("kept")),
    };
    const layers = make("label", "row");
    this.layers = make("input", "field",
      { type: "text", placeholder: "0-3, 7", "aria-describedby": "wrong-layers", maxlength: "200" });
    this.layers.addEventListener("input", () => view.setFilter({ layers: this.layers.value }));
    this.wrong = make("div", "wrong", { id: "wrong-layers", role: "status" });
    layers.append(make("span", "", {}, "Layers"), this.layers);
    const reset = make("button", "button", { type: "button", title: "Hide nothing" }, "Reset");
    reset.addEventListener("click", () => {
      const { links, strongest } = view.filter; // chosen elsewhere
      view.setFilter({ ...NO_FILTER, links, strongest });
    });
    const { errors, bias, common, labels, kept } = this.ticks;
    this.root.append(make("div", "heading", {}, "Hide"), errors.row, bias.row, common.row, layers, this.wrong,
      make("div", "heading", {}, "Show"), labels.row, kept.row, reset);
    keepKeys(this.root, () => view.tools.openFilter(false));
  }

  update() {
    const { index, filter } = this.view, nodes = [...index.nodes.kind.keys()];
    const totals = {
      errors: nodes.filter((node) => index.nodes.kind[node] === ERROR).length,
      bias: nodes.filter((node) => index.nodes.kind[node] === BIAS).length,
      common: nodes.filter((node) => isCommon(index, node)).length,
    };
    const words = { errors: "Errors", bias: "Bias nodes", common: "Features that are nodes at half of the positions or more" };
    for (const [name, { row, input, words: text }] of Object.entries(this.ticks)) {
      input.checked = filter[name];
      if (name in totals) text.textContent = `${words[name]} (${totals[name].toLocaleString("en")})`;
      row.hidden = (name === "bias" && !index.hasBias) || (name === "common" && !index.nodes.positions) ||
        (name === "kept" && !index.nodes.kept);
    }
    const { wrong } = parseLayers(filter.layers, index.n_layers);
    if (this.layers.value !== filter.layers) this.layers.value = filter.layers;
    this.layers.setAttribute("aria-invalid", String(wrong !== ""));
    this.wrong.textContent = wrong && `“${wrong}” is no layer: there are 0 to ${index.n_layers - 1}.`;
  }
}

class PathPanel {
  constructor(view) {
    this.view = view;
    this.root = make("div", "panel paths", { role: "group", "aria-label": "Strongest paths", "data-testid": "graph-paths" });
    this.root.hidden = true;
    keepKeys(this.root, () => view.showPaths(false));
  }

  update() {
    const { view } = this, { paths, index } = view;
    this.root.hidden = !paths;
    if (paths === this.shown) return;
    this.shown = paths;
    if (!paths) return this.root.replaceChildren();
    const head = make("div", "heading", {}, "Strongest paths"), list = make("ol", "list");
    const close = make("button", "button close", { type: "button", "aria-label": "Close the paths", title: "Close (Esc)" }, "×");
    close.addEventListener("click", () => view.showPaths(false));
    head.append(close);
    paths.forEach((path, i) => {
      const share = `${path.weight < 0 ? "−" : "+"}${percent(Math.abs(path.weight))}`, item = make("li", "");
      const button = make("button", "path", { type: "button" });
      button.append(make("b", "", {}, share));
      path.nodes.forEach((node, j) => button.append(j ? " → " : " ", make("bdi", "", {}, view.labelOf(node))));
      for (const name of ["pointerenter", "focus"]) button.addEventListener(name, () => view.pointAtPath(i));
      for (const name of ["pointerleave", "blur"]) button.addEventListener(name, () => view.pointAtPath(-1));
      item.append(button);
      list.append(item);
    });
    const end = index.nodes.id.length && paths.length ? view.labelOf(paths[0].nodes.at(-1)) : "";
    const note = paths.length
      ? `Products of shares along the edges drawn here: what reaches “${end}” by each path, of its whole input.`
      : "No path between these two along the edges drawn here.";
    this.root.replaceChildren(head, list, make("div", "fact", {}, note));
  }
}

/** When it closes, what had the focus before has it again, at once: an event would come later, and take it from a field. */
function keysDialog() {
  const dialog = make("dialog", "keys", { "aria-labelledby": "keys-title", "data-testid": "graph-keys" });
  const list = make("dl", "");
  for (const [key, what] of KEYS) list.append(make("dt", "", {}, key), make("dd", "", {}, what));
  const close = make("button", "button", { type: "button" }, "Close");
  close.addEventListener("click", () => dialog.close());
  dialog.append(make("div", "heading", { id: "keys-title" }, "Keys of the graph"), list, close);
  keepKeys(dialog, () => dialog.close());
  return dialog;
}
