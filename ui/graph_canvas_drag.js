// A node that is dragged onto another one, to group the two: what is held, the line from it, the hint beside the pointer.

const GRAB_REACH = 8; // of the mouse: less than a click's, so that between nodes the background can be dragged

class NodeDrag {
  constructor(view) {
    this.view = view;
    this.node = this.onto = -1;
    this.at = null; // where the pointer is, once it has moved
  }

  /** What a drop would group with the node below: all that is selected, if the held node is part of it. */
  held() {
    const id = this.view.index.nodes.id[this.node], selection = this.view.selection();
    return selection.includes(id) ? selection : [id];
  }

  take(node) {
    this.node = node;
  }

  move(at, onto) {
    if (this.node < 0) return; // let go of by Esc: the button is still down
    const { view } = this, isNew = !this.at;
    this.at = at;
    this.onto = onto === this.node ? -1 : onto;
    view.canvas.classList.add("carrying");
    view.paint();
    const what = this.held().length > 1 ? `${this.held().length} nodes` : "it";
    const hint = this.onto < 0 ? `Drop on a node to group ${what}` : `Group ${what} with ${view.labelOf(this.onto)}`;
    view.putTooltip(at.x, at.y, [make("div", "title", {}, hint), make("div", "fact", {}, "Esc: let go")]);
    if (isNew) view.live.textContent = hint;
  }

  drop() {
    const { view, onto } = this;
    if (this.at && onto >= 0) {
      const id = view.index.nodes.id[onto], ids = this.held().filter((held) => held !== id);
      view.join([...ids, id]);
      view.live.textContent = `Grouped with ${view.labelOf(onto)}`;
    }
    this.end();
  }

  end() {
    const { view, at } = this;
    this.node = this.onto = -1;
    this.at = null;
    if (!at) return;
    view.canvas.classList.remove("carrying");
    view.tooltip.hidden = true;
    view.paint();
  }

  /** The line from each held node to the pointer, or to the node that they would be grouped with. */
  draw(ctx, scene) {
    if (!this.at) return;
    const { theme, index } = scene, to = this.onto < 0 ? this.at : this.view.placeOf(this.onto);
    ctx.strokeStyle = theme.accent;
    ctx.lineWidth = 2;
    ctx.setLineDash(this.onto < 0 ? [4, 4] : []);
    ctx.beginPath();
    for (const id of this.held()) {
      const { x, y } = this.view.placeOf(index.byId.get(id));
      ctx.moveTo(x, y), ctx.lineTo(to.x, to.y);
    }
    ctx.stroke();
    ctx.setLineDash([]);
    for (const id of this.held()) ringNode(ctx, scene, index.byId.get(id), theme.accent, 3.5, 2);
    if (this.onto >= 0) ringNode(ctx, scene, this.onto, theme.accent, 5, 2.4);
  }
}
