// Where every node goes, and which node a point or an arrow key means. Pure geometry: no DOM, no colours.
// Columns are token positions (with a "bias" column first if the graph has bias nodes), rows are layers, embeddings below
// and logits above. World units are CSS pixels at scale 1.

const FEATURE = 0, ERROR = 1, EMBEDDING = 2, LOGIT = 3, BIAS = 4;
const KIND_NAMES = ["feature", "error", "embedding", "logit", "bias"];
const SPACING = 11, LOGIT_SPACING = 17, LINE = 10, MIN_COLUMN = 30, MAX_TOKEN = 84, BACKGROUND_EDGES = 400;

/** What drawing needs from a graph, computed once a revision. `incident[i]` has the edges at node i, weakest first. */
function indexGraph(graph) {
  const { id, influence } = graph.nodes;
  const { source, target, share } = graph.edges;
  const incident = id.map(() => []);
  const edges = Array.from(share.keys());
  edges.sort((a, b) => Math.abs(share[a]) - Math.abs(share[b]));
  for (const e of edges) {
    incident[source[e]].push(e);
    if (source[e] !== target[e]) incident[target[e]].push(e);
  }
  const weight = Float64Array.from(edges.keys(), (e) => Math.abs(share[e]) * influence[target[e]]);
  edges.sort((a, b) => weight[b] - weight[a]);
  return {
    ...graph,
    incident,
    background: edges.slice(0, Math.min(BACKGROUND_EDGES, id.length)), // more is clutter
    byId: new Map(id.map((name, i) => [name, i])),
    maxInfluence: Math.max(1e-9, ...influence),
    hasBias: graph.nodes.kind.includes(BIAS),
  };
}

const rowOf = (node, layer) => layer[node] + 1;

/** A token as the axis shows it: the space that starts most words is left out there (the tooltip has it). */
const axisToken = (token) => (token.length > 1 && token[0] === "␣" && token[1] !== "␣" ? token.slice(1) : token);

/** Node positions for a plot of width × height pixels; the world is wider than the plot where the nodes need it. */
function layOut(index, width, height, textWidth) {
  const { layer, position, kind } = index.nodes;
  const rows = index.n_layers + 2, rowHeight = height / rows, shift = index.hasBias ? 1 : 0;
  const names = [...(index.hasBias ? ["bias"] : []), ...index.tokens.map(axisToken)];
  const maxLines = Math.max(1, Math.floor((rowHeight - 2) / LINE));

  const cells = new Map();
  for (let i = 0; i < layer.length; i++) {
    const cell = (position[i] + shift) * rows + rowOf(i, layer);
    if (cells.has(cell)) cells.get(cell).push(i);
    else cells.set(cell, [i]);
  }
  const spacingOf = (nodes) => (kind[nodes[0]] === LOGIT ? LOGIT_SPACING : SPACING);
  const linesOf = (nodes) => (kind[nodes[0]] === LOGIT ? 1 : maxLines);
  const widths = names.map((name) => Math.max(MIN_COLUMN, Math.min(textWidth(name), MAX_TOKEN) + 10));
  for (const [cell, nodes] of cells) {
    const column = Math.floor(cell / rows);
    const needed = Math.ceil(nodes.length / linesOf(nodes)) * spacingOf(nodes) + 8;
    widths[column] = Math.max(widths[column], needed);
  }
  const total = widths.reduce((sum, w) => sum + w, 0), stretch = Math.max(1, width / total);
  const lefts = [];
  let left = 0;
  for (let c = 0; c < widths.length; c++) {
    lefts.push(left);
    widths[c] *= stretch;
    left += widths[c];
  }

  const x = new Float32Array(layer.length), y = new Float32Array(layer.length);
  for (const [cell, nodes] of cells) {
    const column = Math.floor(cell / rows), row = cell % rows, room = widths[column] - 8;
    const capacity = Math.max(1, Math.floor(room / spacingOf(nodes)));
    const lines = Math.min(linesOf(nodes), Math.ceil(nodes.length / capacity));
    const perLine = Math.ceil(nodes.length / lines), step = Math.min(room / perLine, 2 * spacingOf(nodes));
    nodes.forEach((node, j) => {
      const line = Math.floor(j / perLine), count = Math.min(perLine, nodes.length - line * perLine);
      x[node] = lefts[column] + widths[column] / 2 + ((j % perLine) - (count - 1) / 2) * step;
      y[node] = height - (row + 0.5) * rowHeight + (line - (lines - 1) / 2) * LINE;
    });
  }
  return { x, y, lefts, widths, names, rows, rowHeight, width: left, height };
}

/** The node nearest to a screen point within `reach` pixels, or -1. A scan: 1,000 nodes take 0.01 ms. */
function nearestNode(screen, hidden, px, py, reach) {
  let best = -1, bestDistance = reach * reach;
  for (let i = 0; i < screen.count; i++) {
    if (hidden[i]) continue;
    const dx = screen.x(i) - px, dy = screen.y(i) - py, distance = dx * dx + dy * dy;
    if (distance < bestDistance) [best, bestDistance] = [i, distance];
  }
  return best;
}

/** The next node from `from` in direction (dx, dy), a unit vector; `from` itself if there is none. */
function nodeInDirection(screen, hidden, from, dx, dy) {
  let best = from, bestCost = Infinity;
  for (let i = 0; i < screen.count; i++) {
    if (hidden[i]) continue;
    const ux = screen.x(i) - screen.x(from), uy = screen.y(i) - screen.y(from);
    const along = ux * dx + uy * dy, across = Math.abs(ux * dy) + Math.abs(uy * dx);
    if (along < 1 || across > 3 * along) continue;
    const cost = along + 2 * across;
    if (cost < bestCost) [best, bestCost] = [i, cost];
  }
  return best;
}

/** The nodes in a rectangle of the screen, given by two corners. */
function nodesInBox(screen, hidden, a, b) {
  const [left, right] = [Math.min(a.x, b.x), Math.max(a.x, b.x)], [top, bottom] = [Math.min(a.y, b.y), Math.max(a.y, b.y)];
  const found = [];
  for (let i = 0; i < screen.count; i++) {
    const x = screen.x(i), y = screen.y(i);
    if (!hidden[i] && x >= left && x <= right && y >= top && y <= bottom) found.push(i);
  }
  return found;
}

/** The next node along a link, weakest first in `incident`: the strongest output (dy −1) or input (dy 1) of a node. */
function nodeAlongLink({ incident, edges }, hidden, from, dy) {
  const [here, there] = dy < 0 ? [edges.source, edges.target] : [edges.target, edges.source];
  const edge = incident[from].findLast((e) => here[e] === from && there[e] !== from && !hidden[there[e]]);
  return edge === undefined ? from : there[edge];
}
