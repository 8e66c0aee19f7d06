// The strongest paths between two nodes. Pure: no DOM.

const MOST_PATHS = 5;

/**
 * Up to `most` paths from one node to another with the largest product of |share| over their edges, strongest first, each
 * { edges, nodes, weight }: weight is the signed product, the part of the last node's input that this path carries.
 *
 * One pass in topological order over what `from` reaches, keeping each node's `most` best paths: exact, as a longer path
 * is never stronger than its beginning allows. What lies on a cycle, which only a foreign file can hold, is left out.
 */
function strongestPaths(index, hidden, from, to, most = MOST_PATHS) {
  const { source, target, share } = index.edges;
  const outputs = (node) =>
    index.incident[node].filter((e) => source[e] === node && target[e] !== node && share[e] && !hidden[target[e]]);
  const waiting = new Map([[from, 0]]); // of each node within reach: its inputs that are still to be counted
  for (const node of waiting.keys())
    for (const e of outputs(node)) waiting.set(target[e], (waiting.get(target[e]) ?? 0) + 1);

  const best = new Map([[from, [{ size: 1, edge: -1, before: null }]]]), ready = waiting.get(from) ? [] : [from];
  for (const node of ready)
    for (const e of outputs(node)) {
      const next = target[e];
      const longer = best.get(node).map((path) => ({ size: path.size * Math.abs(share[e]), edge: e, before: path }));
      best.set(next, [...(best.get(next) ?? []), ...longer].sort((a, b) => b.size - a.size).slice(0, most));
      waiting.set(next, waiting.get(next) - 1);
      if (!waiting.get(next)) ready.push(next);
    }
  if (from === to || waiting.get(to) !== 0) return [];
  return best.get(to).map((path) => {
    const edges = [];
    for (let at = path; at.before; at = at.before) edges.unshift(at.edge);
    const weight = edges.reduce((product, e) => product * share[e], 1);
    return { edges, nodes: [from, ...edges.map((e) => target[e])], weight };
  });
}

/** The paths between two nodes, whichever way they run. */
function pathsBetween(index, hidden, a, b) {
  const forward = strongestPaths(index, hidden, a, b);
  return forward.length ? forward : strongestPaths(index, hidden, b, a);
}
