// A column's text, token by token: marked where it differs, tinted by how its log-probability changed. What is known of
// the token under the pointer or the focus stands below. One stop for Tab; the arrow keys go from token to token. Text
// only by textContent: tokens are anybody's.

function element(tag, text = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

class Said {
  constructor() {
    this.list = element("div");
    this.list.className = "said";
    this.list.setAttribute("role", "list");
    this.below = element("div");
    this.below.className = "at";
    this.below.setAttribute("role", "status");
    for (const kind of ["pointerover", "focusin", "click"])
      this.list.addEventListener(kind, ({ target }) => this.show(this.words.indexOf(target)));
    this.list.addEventListener("keydown", (event) => this.key(event));
  }

  draw(data, place) {
    if (this.list.parentNode !== place) place.append(this.list, this.below);
    const signature = JSON.stringify(data);
    if (signature === this.signature) return;
    [this.signature, this.data] = [signature, data];
    this.list.setAttribute("aria-label", data.label);
    this.words = data.words.map((word, i) => {
      const made = element("span", word.text.trimStart());
      made.setAttribute("role", "listitem");
      made.setAttribute("aria-label", word.said);
      made.tabIndex = i ? -1 : 0;
      made.dataset.sign = word.sign;
      made.dataset.differs = word.differs;
      const colour = word.sign < 0 ? "#b8621b" : "#1b7f79";
      if (word.sign) made.style.background = `color-mix(in srgb, ${colour} ${Math.round(38 * word.share)}%, transparent)`;
      return made;
    });
    // the space before a word is not within its frame, which would else begin at the end of the line before
    this.list.replaceChildren(...this.words.flatMap((made, i) => (data.words[i].text.startsWith(" ") ? [" ", made] : [made])));
    this.below.replaceChildren(element("p", data.hint));
  }

  show(at) {
    if (at < 0) return;
    const { facts, alternatives } = this.data.words[at];
    const list = element("dl");
    for (const [name, share] of alternatives) list.append(element("dt", name), element("dd", share));
    this.below.replaceChildren(...facts.map((fact) => element("p", fact)), list);
  }

  key(event) {
    const at = this.words.indexOf(event.target), last = this.words.length - 1;
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = this.words[Math.min(Math.max(to, 0), last)];
    this.words[at].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

const all = new WeakMap();

export default function ({ data, parentElement }) {
  if (!all.has(parentElement)) all.set(parentElement, new Said());
  all.get(parentElement).draw(data, parentElement);
}
