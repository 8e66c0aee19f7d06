// The canvas as a picture file, made in the browser: what is seen, and below it whose model it is and what is hidden.

const SVG = "http://www.w3.org/2000/svg", PNG_SCALE = 2, FOOT_LINE = 16, FOOT_PAD = 12;

/** XML knows no control characters and no halves of a character; a label may hold any. */
const NO_XML = /[^\t\n\r\x20-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu;
const xmlText = (text) => text.toWellFormed().replace(NO_XML, "\u{fffd}");

const svgElement = (tag, attributes, text = "") => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = xmlText(text);
  return element;
};

/** What the drawing functions use of a 2-D context, as SVG elements. Measures with a real context. */
class SvgContext {
  constructor(width, height, ruler) {
    this.root = svgElement("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
    this.ruler = ruler;
    this.stack = [];
    this.path = "";
    Object.assign(this, { fillStyle: "rgba(0,0,0,1)", strokeStyle: "rgba(0,0,0,1)", lineWidth: 1, font: "400 12px sans-serif",
      textAlign: "left", textBaseline: "middle", globalAlpha: 1, dash: [], clipId: "", transform: "", clips: 0 });
  }

  save() {
    const { fillStyle, strokeStyle, lineWidth, font, textAlign, textBaseline, globalAlpha, dash, clipId, transform } = this;
    this.stack.push({ fillStyle, strokeStyle, lineWidth, font, textAlign, textBaseline, globalAlpha, dash, clipId, transform });
  }

  restore() { Object.assign(this, this.stack.pop()); }
  setLineDash(dash) { this.dash = dash; }
  translate(x, y) { this.transform += `translate(${round(x)} ${round(y)}) `; }
  rotate(angle) { this.transform += `rotate(${round((angle * 180) / Math.PI)}) `; }

  beginPath() { this.path = ""; }
  moveTo(x, y) { this.path += `M${round(x)} ${round(y)}`; }
  lineTo(x, y) { this.path += `L${round(x)} ${round(y)}`; }
  closePath() { this.path += "Z"; }
  rect(x, y, width, height) { this.path += `M${round(x)} ${round(y)}h${round(width)}v${round(height)}h${round(-width)}Z`; }
  bezierCurveTo(...points) { this.path += `C${points.map(round).join(" ")}`; }

  /** Whole circles only: nothing here draws another arc. */
  arc(x, y, radius) {
    const r = round(radius);
    this.path += `M${round(x - radius)} ${round(y)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;
  }

  clip() {
    this.clipId = `clip${++this.clips}`;
    const clipPath = svgElement("clipPath", { id: this.clipId });
    clipPath.append(svgElement("path", { d: this.path }));
    this.root.append(clipPath);
  }

  put(element) {
    if (this.clipId) element.setAttribute("clip-path", `url(#${this.clipId})`);
    if (this.transform) element.setAttribute("transform", this.transform.trim());
    if (this.globalAlpha < 1) element.setAttribute("opacity", this.globalAlpha);
    this.root.append(element);
  }

  fill() { if (this.path) this.put(svgElement("path", { d: this.path, ...paintOf("fill", this.fillStyle) })); }

  stroke() {
    if (!this.path) return;
    const width = { "stroke-width": round(this.lineWidth) };
    if (this.dash.length) width["stroke-dasharray"] = this.dash.join(" ");
    this.put(svgElement("path", { d: this.path, fill: "none", ...paintOf("stroke", this.strokeStyle), ...width }));
  }

  fillRect(x, y, width, height) {
    const place = { x: round(x), y: round(y), width: round(width), height: round(height) };
    this.put(svgElement("rect", { ...place, ...paintOf("fill", this.fillStyle) }));
  }

  measureText(text) {
    this.ruler.font = this.font;
    return this.ruler.measureText(text);
  }

  /** Baselines as offsets: not every program knows the names that SVG has for them. */
  fillText(text, x, y) {
    const [, weight, size, family] = /^(\d+) (\d+)px (.*)$/s.exec(this.font);
    const drop = { top: 0.85, middle: 0.34, bottom: -0.2 }[this.textBaseline] * size;
    const anchor = { left: "start", center: "middle", right: "end" }[this.textAlign];
    this.put(svgElement("text", { x: round(x), y: round(y + drop), "font-family": family, "font-size": size,
      "font-weight": weight, "text-anchor": anchor, ...paintOf("fill", this.fillStyle) }, text));
  }
}

const round = (value) => Math.round(value * 100) / 100;

/** "rgba(1,2,3,0.5)" as two attributes: older SVG programs know no colours with alpha. */
function paintOf(name, colour) {
  const [r, g, b, alpha] = colour.match(/[\d.]+/g);
  return { [name]: `rgb(${r},${g},${b})`, ...(+alpha < 1 ? { [`${name}-opacity`]: alpha } : {}) };
}

/** Texts broken into lines of at most `width` pixels. */
function wrapped(ctx, texts, width) {
  const lines = [];
  for (const text of texts) {
    let line = "";
    for (const word of text.split(" ")) {
      const longer = line ? `${line} ${word}` : word;
      if (line && ctx.measureText(longer).width > width) lines.push(line), (line = word);
      else line = longer;
    }
    lines.push(line);
  }
  return lines;
}

/** Ground, graph and foot on any context; the foot's lines are given. */
function paintSheet(ctx, scene, lines, height) {
  ctx.fillStyle = scene.theme.background;
  ctx.fillRect(0, 0, scene.canvas.width, height);
  paintPicture(ctx, scene);
  ctx.font = font(scene.theme, TEXT_SIZE);
  ctx.fillStyle = scene.theme.text;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  lines.forEach((line, i) => ctx.fillText(line, FOOT_PAD, scene.canvas.height + FOOT_PAD + (i + 0.5) * FOOT_LINE));
}

function sheetOf(scene, notes) {
  const ruler = new OffscreenCanvas(1, 1).getContext("2d");
  ruler.font = font(scene.theme, TEXT_SIZE);
  const lines = wrapped(ruler, notes, scene.canvas.width - 2 * FOOT_PAD);
  return { ruler, lines, height: scene.canvas.height + 2 * FOOT_PAD + lines.length * FOOT_LINE };
}

async function pngOf(scene, notes) {
  const { lines, height } = sheetOf(scene, notes), { width } = scene.canvas;
  const canvas = new OffscreenCanvas(width * PNG_SCALE, height * PNG_SCALE), ctx = canvas.getContext("2d");
  ctx.scale(PNG_SCALE, PNG_SCALE);
  paintSheet(ctx, scene, lines, height);
  return canvas.convertToBlob({ type: "image/png" });
}

function svgOf(scene, notes) {
  const { ruler, lines, height } = sheetOf(scene, notes), ctx = new SvgContext(scene.canvas.width, height, ruler);
  ctx.root.append(svgElement("title", {}, "Attribution graph"), svgElement("desc", {}, notes.join("\n")));
  paintSheet(ctx, scene, lines, height);
  return new Blob([new XMLSerializer().serializeToString(ctx.root)], { type: "image/svg+xml" });
}

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser reads it after the click
}
