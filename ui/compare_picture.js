// Paint the comparison as one PNG, light, at twice the size: columns side by side with their texts and next tokens.
// Text only by fillText and textContent: it is anybody's.

const WIDTH = 360, PAD = 16, LINE = 20, BAR = 16, SCALE = 2;
const INK = "#101618", FAINT = "#4a5558", MORE = "#1b7f79", LESS = "#b8621b";
const font = (size, weight = 400) => `${weight} ${size}px system-ui, sans-serif`;

function lines(ctx, text, width) {
  const found = [""];
  for (const piece of text.split(/(?<=\s)/)) {
    let rest = piece;
    if (ctx.measureText(found.at(-1) + rest).width > width && found.at(-1)) found.push("");
    while (ctx.measureText(rest).width > width) {
      let n = rest.length - 1;
      while (n > 1 && ctx.measureText(rest.slice(0, n)).width > width) n--;
      found[found.length - 1] = rest.slice(0, n);
      found.push("");
      rest = rest.slice(n);
    }
    found[found.length - 1] += rest;
  }
  return found;
}

/** Lines from `y` on; where they end. With `paint` off this and what follows only measure. */
function say(ctx, text, style, colour, x, y, gap, paint) {
  ctx.font = style;
  ctx.fillStyle = colour;
  for (const line of lines(ctx, text, WIDTH)) {
    if (paint) ctx.fillText(line, x, y);
    y += gap;
  }
  return y;
}

/** What one column says; where that ends. */
function said(ctx, data, x, paint) {
  let y = say(ctx, data.name, font(15, 650), INK, x, PAD + LINE, LINE, paint);
  for (const text of data.about) y = say(ctx, text, font(12), FAINT, x, y, 16, paint);
  y += LINE / 2;
  let at = x;
  for (const word of data.words) {
    ctx.font = font(14, word.differs ? 650 : 400);
    const wide = ctx.measureText(word.text).width;
    if (at > x && at + wide > x + WIDTH) [at, y] = [x, y + LINE + 4];
    if (paint) {
      const colour = word.sign < 0 ? LESS : MORE;
      if (word.sign) {
        ctx.globalAlpha = 0.38 * word.share;
        ctx.fillStyle = colour;
        ctx.fillRect(at, y - 14, wide, 18);
        ctx.globalAlpha = 1;
        ctx.strokeStyle = colour;
        ctx.lineWidth = 2;
        ctx.setLineDash(word.sign < 0 ? [4, 3] : []);
        ctx.strokeRect(at, y + 5, wide, 0);
        ctx.setLineDash([]);
      }
      if (word.differs) {
        ctx.strokeStyle = FAINT;
        ctx.lineWidth = 1;
        ctx.strokeRect(at + 0.5, y - 14.5, wide - 1, 18);
      }
      ctx.fillStyle = INK;
      ctx.fillText(word.text, at, y);
    }
    at += wide + 1;
  }
  return y + LINE * 2;
}

/** The next tokens of one column and its figures, from `y` on; where they end. */
function figures(ctx, data, x, y, most, paint) {
  y = say(ctx, "next token", font(12, 650), INK, x, y, LINE, paint);
  for (const [name, p] of data.next) {
    if (paint) {
      ctx.font = font(12);
      ctx.fillStyle = INK;
      ctx.fillText(name, x, y, 105);
      ctx.fillText(p === null ? "–" : `${(100 * p).toFixed(1)} %`, x + 112, y); // –: it has no such token
      ctx.fillStyle = MORE;
      ctx.fillRect(x + 165, y - 9, ((WIDTH - 165) * p) / most, 9);
    }
    y += BAR;
  }
  y += LINE / 2;
  for (const text of data.figures) y = say(ctx, text, font(12), INK, x, y, 16, paint);
  return y;
}

async function picture(data) {
  const width = PAD + data.columns.length * (WIDTH + PAD);
  const most = Math.max(1e-9, ...data.columns.flatMap((c) => c.next.map(([, p]) => p)));
  const draw = (ctx, paint) => {
    const left = (i) => PAD + i * (WIDTH + PAD);
    const start = Math.max(...data.columns.map((c, i) => said(ctx, c, left(i), paint)));
    let y = PAD + Math.max(...data.columns.map((c, i) => figures(ctx, c, left(i), start, most, paint)));
    ctx.font = font(12);
    ctx.fillStyle = FAINT;
    for (const line of data.foot.flatMap((text) => lines(ctx, text, width - 2 * PAD))) {
      if (paint) ctx.fillText(line, PAD, y);
      y += 16;
    }
    return y;
  };
  const height = Math.ceil(draw(new OffscreenCanvas(1, 1).getContext("2d"), false));
  const canvas = new OffscreenCanvas(width * SCALE, height * SCALE), ctx = canvas.getContext("2d");
  ctx.scale(SCALE, SCALE);
  ctx.fillStyle = "#ffffff";
  ctx.fillRect(0, 0, width, height);
  draw(ctx, true);
  return canvas.convertToBlob({ type: "image/png" });
}

const latest = new WeakMap();

export default function ({ data, parentElement }) {
  latest.set(parentElement, data);
  if (parentElement.querySelector("button")) return;
  const button = document.createElement("button");
  button.textContent = "PNG: the picture";
  button.addEventListener("click", async () => {
    const data = latest.get(parentElement), link = document.createElement("a");
    link.href = URL.createObjectURL(await picture(data));
    link.download = data.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
  parentElement.append(button);
}
