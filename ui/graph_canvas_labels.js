// Labels beside nodes where there is room: never over a mark or another label, cut to a width, the important first.

const LABEL_WIDTH = 104, LABEL_HEIGHT = 14, LABEL_GAP = 3, CLEAR = 6, MOST_LABELS = 60, BUCKET = 32;

/** Rectangles that are taken, in buckets, so that asking costs the same however many there are. */
class Taken {
  buckets = new Map();

  *cells([left, top, right, bottom]) {
    for (let x = Math.floor(left / BUCKET); x <= Math.floor(right / BUCKET); x++)
      for (let y = Math.floor(top / BUCKET); y <= Math.floor(bottom / BUCKET); y++) yield x * 100_003 + y;
  }

  add(rectangle) {
    for (const cell of this.cells(rectangle)) {
      if (this.buckets.has(cell)) this.buckets.get(cell).push(rectangle);
      else this.buckets.set(cell, [rectangle]);
    }
  }

  isFree(rectangle) {
    const [left, top, right, bottom] = rectangle;
    for (const cell of this.cells(rectangle))
      for (const [l, t, r, b] of this.buckets.get(cell) ?? [])
        if (left < r && l < right && top < b && t < bottom) return false;
    return true;
  }
}

/** What stands beside a feature: a person's label, else its name without the token, which its column says. */
function besideText({ index, labels, labelOf }, node) {
  return Object.hasOwn(labels, index.nodes.id[node]) ? labelOf(node) : labelOf(node).split(" @ ")[0];
}

/** Where labels go: [{ node, text, x, y, width }], x the left end and y the middle. Selected, pinned and linked nodes come
 *  first, then those that a person has labelled, then, while nothing is selected, the most influential. */
function placeLabels(ctx, scene) {
  const { index, screen, box, hidden, chosen, overlay, links, paths, fitted, labels } = scene;
  const { kind, id, influence } = index.nodes, { source, target } = index.edges;
  const inView = (node) => {
    const x = screen.x(node), y = screen.y(node);
    return !hidden[node] && x >= box.left && x <= box.left + box.width && y >= box.top && y <= box.top + box.height;
  };
  const rank = new Map();
  const linked = paths ? paths.flatMap((path) => path.nodes) : links.flatMap((e) => [source[e], target[e]]);
  for (const node of linked) rank.set(node, 2);
  for (const node of [...chosen, ...overlay.pins]) rank.set(node, 3);
  const rankOf = (node) => rank.get(node) ?? (Object.hasOwn(labels, id[node]) ? 1 : 0);
  const radiusOf = (node) => nodeRadius(scene, node) + (rank.get(node) === 3 ? 4 : 0); // with its ring
  const taken = new Taken(), visible = [...kind.keys()].filter(inView);
  for (const node of visible) {
    const x = screen.x(node), y = screen.y(node), r = radiusOf(node) + 1;
    taken.add([x - r, y - r, x + r, y + r]);
  }
  const features = visible.filter((node) => kind[node] === FEATURE && (!chosen.length || rankOf(node)));
  features.sort((a, b) => rankOf(b) - rankOf(a) || influence[b] - influence[a]);
  ctx.font = font(scene.theme, SMALL_TEXT);
  const placed = [];
  for (const node of features) {
    if (placed.length === MOST_LABELS) break;
    const full = besideText(scene, node);
    if (!fitted.has(full)) {
      const text = fitText(ctx, full, LABEL_WIDTH);
      fitted.set(full, { text, width: ctx.measureText(text).width });
    }
    const { text, width } = fitted.get(full), y = screen.y(node), reach = radiusOf(node) + LABEL_GAP;
    const right = screen.x(node) + reach, left = screen.x(node) - reach - width;
    for (const x of [right, left]) { // and well away from the next node, whose label it could seem
      const [from, to] = x === right ? [x, x + width + CLEAR] : [x - CLEAR, x + width];
      const rectangle = [from, y - LABEL_HEIGHT / 2, to, y + LABEL_HEIGHT / 2];
      if (!text || x < box.left || x + width > box.left + box.width || !taken.isFree(rectangle)) continue;
      taken.add(rectangle);
      placed.push({ node, text, x, y, width });
      break;
    }
  }
  return placed;
}

/** On a ground of their own, so that links do not cross them out. */
function paintLabels(ctx, { placed, theme }) {
  ctx.font = font(theme, SMALL_TEXT);
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  for (const { text, x, y, width } of placed) {
    ctx.fillStyle = theme.veil;
    ctx.fillRect(x - 1, y - LABEL_HEIGHT / 2, width + 2, LABEL_HEIGHT);
    ctx.fillStyle = theme.text;
    ctx.fillText(text, x, y);
  }
}
