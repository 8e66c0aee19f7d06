// What is said of the graph and its nodes, in words. Labels and tokens stay plain strings.

const digits = (value) => (value === 0 ? "0" : Math.abs(value) >= 1000 ? value.toFixed(0) : String(+value.toPrecision(3)));

function descriptionOf({ nodes, edges, tokens, n_layers }) {
  return `Attribution graph: ${nodes.id.length} nodes and ${edges.share.length} edges, ${tokens.length} tokens by ` +
    `${n_layers} layers. Arrow keys move between nodes, Enter selects, Escape clears, question mark lists all keys.`;
}

const textOf = ({ texts, nodes }, node) => texts?.[nodes.text?.[node]] ?? "";

/** What the card's head shows of a node; the id alone of one that is not drawn. */
function headOf({ index }, id) {
  const node = index.byId.get(id), { nodes, figure_names } = index;
  if (node === undefined || !nodes.name) return { id };
  const figures = nodes.figures[node].map(([name, value]) => [figure_names[name], value]);
  return { id, name: nodes.name[node], text: textOf(index, node), figures };
}

/** What is known of a node, line by line: label, what it is and where, numbers, what errors and embeddings are. */
function factsOf({ index, labelOf }, node) {
  const { kind, layer, position, value, influence, probability, positions } = index.nodes;
  const isLayer = layer[node] >= 0 && layer[node] < index.n_layers;
  const token = index.tokens[position[node]];
  const where = [KIND_NAMES[kind[node]], isLayer ? `layer ${layer[node]}` : "",
    token === undefined ? "" : `position ${position[node]} “${token}”`];
  const numbers = kind[node] === LOGIT && probability[node] != null
    ? [`probability ${percent(probability[node])}`] : [`activation ${digits(value[node])}`];
  numbers.push(`influence ${percent(influence[node])}`);
  const often = positions?.[node] > 1 ? `a node at ${positions[node]} of ${count(index.feature_positions, "position")}` : "";
  if (index.nodes.kept?.[node] < 0.9995) numbers.push(`${percent(index.nodes.kept[node])} of its input kept`);
  const note = kind[node] === ERROR || kind[node] === EMBEDDING ? textOf(index, node) : "";
  return [labelOf(node), where.filter(Boolean).join(" · "), numbers.join(" · "), often, note].filter(Boolean);
}
