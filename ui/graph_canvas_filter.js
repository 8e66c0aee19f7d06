// Which nodes and edges are shown, and why others are not. Pure: no DOM, no geometry. A filter is { links, strongest,
// errors, bias, common, layers, labels, kept }: which edges of the selected nodes, how many of the strongest (0: all), what
// to hide, whether labels stand beside the nodes, and whether shares are those of the input that pruning has kept.

const NO_FILTER = Object.freeze({
  links: "either", strongest: 0, errors: false, bias: false, common: false, layers: "", labels: true, kept: false,
});
const LINK_TYPES = [
  ["either", "Inputs and outputs"], ["inputs", "Inputs"], ["outputs", "Outputs"],
  ["both", "Among selected and pinned"], ["near", "Among neighbours too"],
];
const STRONGEST = [0, 3, 5, 10, 20, 50];

const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** "0-3, 7" as a set of layers of the model, and the first part that is none. */
function parseLayers(text, nLayers) {
  const layers = new Set();
  let wrong = "";
  for (const part of text.split(",").map((piece) => piece.trim()).filter(Boolean)) {
    const [, first, last] = /^(\d{1,4})(?:\s*[-–]\s*(\d{1,4}))?$/.exec(part) ?? [];
    if (first === undefined || +first >= nLayers || +(last ?? first) < +first) wrong ||= part;
    else for (let layer = +first; layer <= Math.min(+(last ?? first), nLayers - 1); layer++) layers.add(layer);
  }
  return { layers, wrong };
}

/** A feature that is a node at half of the positions or more, and at two at least. */
function isCommon({ nodes, feature_positions }, node) {
  const at = nodes.positions?.[node] ?? 0;
  return nodes.kind[node] === FEATURE && at > 1 && 2 * at >= feature_positions;
}

/** hidden[i] = 1 for a node that the filter hides, and one { reason, n } for each of its parts that hides some. Each
 *  node counts under the first that applies; those `kept` (selected, pinned) stay, as do tokens and logits. */
function hiddenNodes(index, filter, kept) {
  const { kind, layer } = index.nodes, { layers } = parseLayers(filter.layers, index.n_layers);
  const inside = (node) => kind[node] !== EMBEDDING && kind[node] !== LOGIT;
  const parts = [
    [filter.errors, (node) => kind[node] === ERROR, (n) => count(n, "error")],
    [filter.bias, (node) => kind[node] === BIAS, (n) => count(n, "bias node")],
    [layers.size, (node) => inside(node) && layers.has(layer[node]),
      (n) => `${count(n, "node")} of ${layers.size === 1 ? "layer" : "layers"} ${filter.layers.trim()}`],
    [filter.common, (node) => isCommon(index, node),
      (n) => `${count(n, "feature")} at half of the ${index.feature_positions} positions or more`],
  ].filter(([isOn]) => isOn).map(([, hides, words]) => ({ hides, words, n: 0 }));
  const hidden = new Uint8Array(kind.length);
  for (let node = 0; parts.length && node < kind.length; node++) {
    const part = kept.has(node) ? undefined : parts.find(({ hides }) => hides(node));
    if (part) hidden[node] = 1, part.n++;
  }
  return { hidden, reasons: parts.filter(({ n }) => n).map(({ words, n }) => ({ reason: words(n), n })) };
}

/** The graph with each edge as a share of what pruning has kept of its target's input, not of all of it. */
function withKeptShares(graph) {
  const { target, share } = graph.edges, { kept } = graph.nodes;
  return { ...graph, edges: { ...graph.edges, share: share.map((value, e) => value / Math.max(kept[target[e]], 1e-9)) } };
}

/** The edges to draw for some chosen nodes, weakest first, and how many the type alone would draw. */
function linksShown(index, hidden, chosen, pins, { links, strongest }) {
  const { source, target, share } = index.edges, found = new Set();
  const add = (nodes, wanted) => {
    for (const node of nodes)
      for (const e of index.incident[node]) if (!hidden[source[e]] && !hidden[target[e]] && wanted(e)) found.add(e);
  };
  const among = (nodes) => (e) => nodes.has(source[e]) && nodes.has(target[e]);
  const mine = new Set(chosen);
  if (links === "both") {
    const ends = new Set([...chosen, ...pins]);
    add(ends, among(ends));
  } else if (links === "inputs") add(mine, (e) => mine.has(target[e]));
  else if (links === "outputs") add(mine, (e) => mine.has(source[e]));
  else add(mine, () => true);
  if (links === "near") {
    const near = new Set([...mine, ...[...found].flatMap((e) => [source[e], target[e]])]);
    add(near, among(near));
  }
  const edges = [...found].sort((a, b) => Math.abs(share[a]) - Math.abs(share[b]));
  return { edges: strongest ? edges.slice(-strongest) : edges, total: edges.length };
}

/** Nodes whose label, name or id has the text, then those whose token has it; the most influential first. */
function matchesOf(index, query, labelOf) {
  const wanted = query.trim().toLowerCase(), { id, name, position, influence } = index.nodes;
  if (!wanted) return [];
  const has = (text) => text.toLowerCase().includes(wanted);
  const nodes = [...id.keys()].sort((a, b) => influence[b] - influence[a]);
  const called = nodes.filter((node) => has(labelOf(node)) || has(name?.[node] ?? "") || has(id[node]));
  const seen = new Set(called);
  return [...called, ...nodes.filter((node) => !seen.has(node) && has(index.tokens[position[node]] ?? ""))];
}
