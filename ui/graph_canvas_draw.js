// How the graph looks: theme colours, marks, edges, axes. Draws on the 2-D contexts it is given and keeps no state.
// A scene is { index, plan, screen, theme, box, rotated, tilted, overlay, labelOf, selected, hovered, canvas, … }: box is the
// plot's rectangle, canvas the size in CSS pixels, rotated and tilted say that token and logit texts have no room to lie flat;
// chosen are all selected nodes, hidden the filter's (one byte a node), links the edges to draw for the chosen ones.

const TEXT_SIZE = 12, SMALL_TEXT = 11, HOVER_EDGES = 150;
const TOKEN_BAND = 58, LOGIT_BAND = 74, TILTED_PITCH = 17; // room for tilted texts, and how close two of them may stand
const SQUARE_SCALE = 0.88, DIAMOND_SCALE = 1.15; // marks of equal area look equally large

const probe = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

/** Any CSS colour as [r, g, b], by painting it: Streamlit themes may hold hex, rgb(), hsl() or names. */
function rgb(colour) {
  probe.clearRect(0, 0, 1, 1);
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

const percent = (share) => {
  const value = 100 * share;
  return value > 0 && value < 0.01 ? "<0.01%" : `${value.toFixed(value >= 10 ? 0 : value >= 1 ? 1 : 2)}%`;
};
const css = (colour, alpha = 1) => `rgba(${colour.map(Math.round).join(",")},${alpha})`;
const mix = (a, b, share) => a.map((value, i) => value * share + b[i] * (1 - share));

function readTheme(element) {
  const style = getComputedStyle(element);
  const read = (name, fallback) => {
    const value = style.getPropertyValue(name).trim();
    return value && value !== "unset" ? value : fallback;
  };
  const background = rgb(read("--st-background-color", "#ffffff")), text = rgb(read("--st-text-color", "#222222"));
  const dark = 0.299 * background[0] + 0.587 * background[1] + 0.114 * background[2] < 128;
  const theme = {
    dark,
    background: css(background),
    veil: css(background, 0.78),
    text: css(text),
    muted: css(mix(text, background, 0.68)),
    grid: css(mix(text, background, dark ? 0.16 : 0.1)),
    stripe: css(mix(rgb(read("--st-secondary-background-color", "#f4f4f4")), background, 0.55)),
    faintEdge: css(text, dark ? 0.09 : 0.07),
    node: mix(text, background, 0.75),
    accent: css(rgb(read("--st-primary-color", "#1b7f79"))),
    band: css(rgb(read("--st-primary-color", "#1b7f79")), 0.2),
    positive: rgb(dark ? "#56c7bd" : "#1b7f79"),
    negative: rgb(dark ? "#eca25c" : "#b8621b"),
    font: read("--st-font", "sans-serif"),
  };
  return { ...theme, signature: JSON.stringify(theme) };
}

const font = (theme, size, weight = 400) => `${weight} ${size}px ${theme.font}`;

/** Text cut with an ellipsis to a width; whole characters only, so that an emoji is never halved. */
function fitText(ctx, text, width) {
  if (text.length < 200 && ctx.measureText(text).width <= width) return text;
  const characters = Array.from(text).slice(0, 200);
  while (characters.length && ctx.measureText(characters.join("") + "…").width > width) characters.pop();
  return characters.length ? characters.join("") + "…" : "";
}

function nodeRadius(scene, node) {
  const { index, screen } = scene;
  const relative = Math.sqrt(Math.max(0, index.nodes.influence[node]) / index.maxInfluence);
  return (3 + 2 * relative) * screen.nodeScale;
}

/** The mark's path about (x, y): ● feature, ◆ error, ■ embedding and logit, + bias. */
function tracePath(ctx, kind, x, y, r) {
  ctx.beginPath();
  if (kind === FEATURE) ctx.arc(x, y, r, 0, 2 * Math.PI);
  else if (kind === ERROR) {
    const d = r * DIAMOND_SCALE;
    ctx.moveTo(x, y - d), ctx.lineTo(x + d, y), ctx.lineTo(x, y + d), ctx.lineTo(x - d, y), ctx.closePath();
  } else if (kind === BIAS) {
    const t = r / 3;
    ctx.rect(x - r, y - t, 2 * r, 2 * t), ctx.rect(x - t, y - r, 2 * t, 2 * r);
  } else ctx.rect(x - r * SQUARE_SCALE, y - r * SQUARE_SCALE, 2 * r * SQUARE_SCALE, 2 * r * SQUARE_SCALE);
}

function fillNode(ctx, scene, node, colour, grow = 0) {
  const { screen, index } = scene;
  tracePath(ctx, index.nodes.kind[node], screen.x(node), screen.y(node), nodeRadius(scene, node) + grow);
  ctx.fillStyle = colour;
  ctx.fill();
}

function ringNode(ctx, scene, node, colour, gap, width) {
  ctx.beginPath();
  ctx.arc(scene.screen.x(node), scene.screen.y(node), nodeRadius(scene, node) + gap, 0, 2 * Math.PI);
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.stroke();
}

function traceEdge(ctx, scene, edge) {
  const { screen, index } = scene, source = index.edges.source[edge], target = index.edges.target[edge];
  const x1 = screen.x(source), y1 = screen.y(source), x2 = screen.x(target), y2 = screen.y(target);
  ctx.moveTo(x1, y1);
  ctx.bezierCurveTo(x1, y1 + (y2 - y1) * 0.45, x2, y2 - (y2 - y1) * 0.45, x2, y2);
}

const edgeWidth = (share) => 0.6 + 3.6 * Math.sqrt(Math.min(1, Math.abs(share)));

/** Edges in their sign's colour and form (negative dashed), width ~ √|share|. */
function strokeEdges(ctx, scene, edges, strength) {
  for (const edge of edges) {
    const share = scene.index.edges.share[edge], size = Math.sqrt(Math.min(1, Math.abs(share)));
    const alpha = strength * (0.42 + 0.58 * Math.min(1, size * 1.8));
    ctx.beginPath();
    traceEdge(ctx, scene, edge);
    ctx.strokeStyle = css(share < 0 ? scene.theme.negative : scene.theme.positive, alpha);
    ctx.lineWidth = edgeWidth(share);
    ctx.setLineDash(share < 0 ? [5, 4] : []);
    ctx.stroke();
  }
  ctx.setLineDash([]);
}

function clipTo(ctx, { left, top, width, height }, above = 0) {
  ctx.beginPath();
  ctx.rect(left, top - above, width, height + above);
  ctx.clip();
}

function paintGrid(ctx, { plan, screen, theme, box }) {
  for (let c = 0; c < plan.names.length; c += 2) {
    ctx.fillStyle = theme.stripe;
    ctx.fillRect(screen.column(c), box.top, plan.widths[c] * screen.kx, box.height);
  }
  ctx.strokeStyle = theme.grid;
  ctx.lineWidth = 1;
  ctx.beginPath();
  for (let r = 0; r < plan.rows; r++) {
    const y = Math.round(screen.row(r)) + 0.5;
    ctx.moveTo(box.left, y), ctx.lineTo(box.left + box.width, y);
  }
  ctx.stroke();
}

/** Row names on the left, and '‹' or '›' above the plot's corner where more columns lie that way. */
function paintRowLabels(ctx, { plan, screen, theme, box }) {
  ctx.font = font(theme, SMALL_TEXT);
  ctx.fillStyle = theme.muted;
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  const last = plan.rows - 1, rowHeight = plan.rowHeight * screen.ky;
  const every = [1, 2, 5, 10, 20, 50].find((step) => step * rowHeight >= SMALL_TEXT + 2) ?? 100;
  for (let r = 0; r <= last; r++) {
    const layer = r - 1, isEnd = r === 0 || r === last;
    // A numbered row may stand too close to 'Emb' or 'Logit'; those two always stay.
    const nearEnd = Math.min(r, last - r) * rowHeight < SMALL_TEXT + 2;
    if (!isEnd && (layer % every || nearEnd)) continue;
    const y = screen.row(r);
    if (y < box.top || y > box.top + box.height) continue;
    ctx.fillText(r === 0 ? "Emb" : isEnd ? "Logit" : `L${layer}`, box.left - 8, y);
  }
  // What the plot's edges hide can be dragged in: say so.
  ctx.font = font(theme, 16, 600);
  const end = box.left + box.width, y = box.top - 12;
  if (screen.column(0) < box.left - 1) ctx.fillText("‹", box.left - 8, y);
  if (screen.column(plan.names.length - 1) + plan.widths.at(-1) * screen.kx > end + 1) ctx.fillText("›", end, y);
}

/** Token texts under the plot; the columns of the selected and the hovered node stand out and are named first. */
function paintTokens(ctx, { plan, screen, theme, box, rotated, index, selected, hovered }) {
  const lit = new Set();
  for (const node of [selected, hovered]) if (node >= 0) lit.add(index.nodes.position[node] + (index.hasBias ? 1 : 0));
  const taken = [], y = box.top + box.height + 7;
  for (const column of new Set([...lit, ...plan.names.keys()])) {
    const width = plan.widths[column] * screen.kx, x = screen.column(column) + width / 2;
    if (x < box.left || x > box.left + box.width) continue;
    if (rotated && taken.some((other) => Math.abs(other - x) < TILTED_PITCH)) continue;
    taken.push(x);
    ctx.font = font(theme, TEXT_SIZE, lit.has(column) ? 600 : 400);
    ctx.fillStyle = lit.has(column) ? theme.text : theme.muted;
    // Tilted text runs back to the left: at most down to the band's end, and not over the canvas edge.
    if (rotated) tiltedText(ctx, plan.names[column], x + 3, y + 2, -1, Math.min(TOKEN_BAND * 1.25, (x - 2) * Math.SQRT2));
    else centredText(ctx, fitText(ctx, plan.names[column], width - 4), x, y, "top");
  }
}

function centredText(ctx, text, x, y, baseline) {
  ctx.textAlign = "center";
  ctx.textBaseline = baseline;
  ctx.fillText(text, x, y);
}

/** Text that ends at (x, y), coming from the lower left (side −1) or from the upper left (side 1). */
function tiltedText(ctx, text, x, y, side, width) {
  ctx.save();
  ctx.translate(x, y);
  ctx.rotate((side * Math.PI) / 4);
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  ctx.fillText(fitText(ctx, text, width), 0, 0);
  ctx.restore();
}

/** "basketball 76%" above the logits, the likeliest first; a label that would touch one already drawn is left out. */
function paintLogitLabels(ctx, { index, screen, theme, box, tilted, labelOf, selected, hovered }) {
  const { kind, probability } = index.nodes;
  const rank = (node) => (node === selected || node === hovered ? 2 : (probability[node] ?? 0));
  const logits = [...kind.keys()].filter((node) => kind[node] === LOGIT).sort((a, b) => rank(b) - rank(a));
  const taken = [];
  ctx.fillStyle = theme.text;
  for (const node of logits) {
    const x = screen.x(node), y = screen.y(node) - 11;
    if (x < box.left || x > box.left + box.width || y < box.top - 12 || y > box.top + box.height) continue;
    const chance = probability[node] == null ? "" : `\u200e ${percent(probability[node])}`; // U+200E: or Hebrew turns it round
    ctx.font = font(theme, TEXT_SIZE, node === selected ? 600 : 400);
    if (tilted) {
      if (taken.some((other) => Math.abs(other - x) < TILTED_PITCH)) continue;
      taken.push(x);
      const room = Math.min(LOGIT_BAND * 1.3, (x - 4) * Math.SQRT2) - ctx.measureText(chance).width;
      tiltedText(ctx, fitText(ctx, labelOf(node), room) + chance, x + 2, y, 1, Infinity);
    } else {
      const text = fitText(ctx, labelOf(node), 120) + chance, half = ctx.measureText(text).width / 2;
      const middle = Math.max(half + 2, Math.min(x, box.left + box.width - half));
      if (taken.some(([other, reach]) => Math.abs(other - middle) < reach + half + 8)) continue;
      taken.push([middle, half]);
      centredText(ctx, text, middle, y, "bottom");
    }
  }
}

/** Everything that stays while the mouse moves: grid, and a faint background of the strongest edges. */
function paintBackdrop(ctx, scene) {
  const { theme, index, hidden } = scene;
  ctx.save();
  clipTo(ctx, scene.box);
  paintGrid(ctx, scene);
  ctx.strokeStyle = theme.faintEdge;
  ctx.lineWidth = 0.8;
  ctx.beginPath();
  const { source, target } = index.edges;
  for (const edge of index.background) if (!hidden[source[edge]] && !hidden[target[edge]]) traceEdge(ctx, scene, edge);
  ctx.stroke();
  ctx.restore();
}

function paintNodes(ctx, scene) {
  const { index, theme, overlay, hidden } = scene, { kind, influence } = index.nodes;
  ctx.save();
  clipTo(ctx, scene.box);
  for (let node = 0; node < kind.length; node++) {
    if (hidden[node]) continue;
    const relative = Math.sqrt(Math.max(0, influence[node]) / index.maxInfluence);
    const alpha = kind[node] === ERROR ? 0.35 : kind[node] === FEATURE ? 0.5 + 0.5 * relative : 0.9;
    fillNode(ctx, scene, node, css(theme.node, alpha));
  }
  for (const node of overlay.pins) ringNode(ctx, scene, node, theme.text, 2.5, 1.4);
  ctx.restore();
}

/** Links of some nodes, strongest on top, and their other ends in the colour of the strongest link there. */
function paintLinks(ctx, scene, nodes, edges, strength) {
  const { source, target, share } = scene.index.edges, mine = new Set(nodes);
  strokeEdges(ctx, scene, edges, strength);
  for (const edge of edges)
    for (const end of [source[edge], target[edge]])
      if (!mine.has(end)) fillNode(ctx, scene, end, css(share[edge] < 0 ? scene.theme.negative : scene.theme.positive), 0.6);
}

/** Paths between two nodes, on a broad band so that they stand out by form too; one alone if it is pointed at. */
function paintPaths(ctx, scene) {
  const { paths, pathAt, theme } = scene, shown = pathAt < 0 ? paths : [paths[pathAt]];
  ctx.strokeStyle = theme.band;
  ctx.lineWidth = 9;
  ctx.beginPath();
  const edges = new Set(shown.flatMap((path) => path.edges));
  for (const edge of edges) traceEdge(ctx, scene, edge);
  ctx.stroke();
  strokeEdges(ctx, scene, edges, 1);
  for (const node of new Set(shown.flatMap((path) => path.nodes))) fillNode(ctx, scene, node, theme.text, 0.8);
}

/** What stays while the mouse moves but changes with a click: links or paths, the selection, matches, labels. */
function paintFocus(ctx, scene) {
  const { theme, box, hidden, chosen, selected, links, paths, matches } = scene;
  ctx.save();
  clipTo(ctx, box);
  if (paths) paintPaths(ctx, scene);
  else paintLinks(ctx, scene, chosen, links, 1);
  ctx.restore();
  ctx.save();
  clipTo(ctx, box, 6);
  ctx.setLineDash([2, 2]);
  for (const node of matches) if (!hidden[node]) ringNode(ctx, scene, node, theme.accent, 4, 1.6);
  ctx.setLineDash([]);
  for (const node of chosen) {
    fillNode(ctx, scene, node, theme.text, 0.8);
    ringNode(ctx, scene, node, theme.accent, 3.5, node === selected ? 2.4 : 1.4);
  }
  paintLabels(ctx, scene);
  ctx.restore();
}

/** How much the layers below fade for what is in focus: [backdrop, nodes]. */
function fading({ chosen, links, paths, hovered }) {
  if (chosen.length || links.length || paths) return [0.6, 0.5];
  return hovered >= 0 ? [0.6, 0.75] : [1, 1];
}

function paintAxes(ctx, scene) {
  paintRowLabels(ctx, scene);
  paintTokens(ctx, scene);
  paintLogitLabels(ctx, scene);
}

/** The frame: cached layers, then what hover and a drag add, then the axes' texts. `layers` = { backdrop, nodes, focus }. */
function paintFrame(ctx, scene, layers) {
  const { theme, box, hovered, hoverLinks, canvas, band, drag } = scene, isNew = hovered >= 0 && !scene.chosen.includes(hovered);
  ctx.clearRect(0, 0, canvas.width, canvas.height);
  const [backdrop, nodes] = fading(scene);
  for (const [image, alpha] of [[layers.backdrop, backdrop], [layers.nodes, nodes], [layers.focus, 1]]) {
    ctx.globalAlpha = alpha;
    ctx.drawImage(image, 0, 0, canvas.width, canvas.height);
  }
  if (isNew) {
    ctx.save();
    clipTo(ctx, box);
    paintLinks(ctx, scene, [hovered], hoverLinks.slice(-HOVER_EDGES), 0.55);
    ctx.restore();
  }
  ctx.save();
  clipTo(ctx, box, 6);
  if (hovered >= 0) fillNode(ctx, scene, hovered, theme.text, 0.8);
  if (isNew) ringNode(ctx, scene, hovered, theme.text, 3, 1);
  if (band) {
    const [a, b] = band;
    ctx.fillStyle = theme.band;
    ctx.fillRect(Math.min(a.x, b.x), Math.min(a.y, b.y), Math.abs(b.x - a.x), Math.abs(b.y - a.y));
  }
  drag.draw(ctx, scene);
  ctx.restore();
  paintAxes(ctx, scene);
}

/** The same without layers and hover, for a file. */
function paintPicture(ctx, scene) {
  const [backdrop, nodes] = fading(scene);
  ctx.globalAlpha = backdrop;
  paintBackdrop(ctx, scene);
  ctx.globalAlpha = nodes;
  paintNodes(ctx, scene);
  ctx.globalAlpha = 1;
  paintFocus(ctx, scene);
  paintAxes(ctx, scene);
}
