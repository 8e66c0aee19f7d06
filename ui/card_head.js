// The head of the node card: name, what the node is, figures. It follows the canvas in the browser, within a frame of the
// click; the rest of the card comes from the server some tenths of a second later, and is faint until it does. Text only by
// textContent: names are anybody's.

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

class CardHead {
  constructor() {
    this.root = document.createElement("div");
    this.root.className = "head";
    this.root.setAttribute("data-testid", "card-head");
    this.root.setAttribute("aria-live", "polite");
    this.follow = ({ detail }) => {
      this.chosen = detail;
      if (this.root.isConnected) this.draw();
      else window.removeEventListener("hypograph-select", this.follow); // the page is gone
    };
    window.addEventListener("hypograph-select", this.follow);
  }

  /** What the server knows of the node that it has drawn the card for. Streamlit may have emptied the place. */
  answer(data, place) {
    if (this.root.parentNode !== place) place.append(this.root);
    this.data = data;
    this.draw();
  }

  draw() {
    const { chosen, data } = this;
    const ahead = chosen !== undefined && chosen.id !== data.shown.id && chosen.id !== data.heard;
    let shown = data.shown;
    if (ahead && chosen.id === null) shown = data.empty;
    else if (ahead && chosen.name !== undefined) shown = chosen;
    const host = this.root.getRootNode().host ?? this.root;
    host.closest(".st-key-card")?.toggleAttribute("data-waiting", ahead); // the card, with what the server draws below
    const signature = JSON.stringify(shown);
    if (signature === this.signature) return;
    this.signature = signature;
    const figures = document.createElement("dl");
    for (const [name, value] of shown.figures) {
      const pair = document.createElement("div"), term = element("dt", name);
      term.title = data.help[name] ?? "";
      pair.append(term, element("dd", value));
      figures.append(pair);
    }
    this.root.replaceChildren(element("strong", shown.name), element("p", shown.text), figures);
  }
}

const heads = new WeakMap();

export default function ({ data, parentElement }) {
  if (!heads.has(parentElement)) heads.set(parentElement, new CardHead());
  heads.get(parentElement).answer(data, parentElement);
}
