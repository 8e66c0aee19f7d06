"""What a node is called, and what it is in words."""

from tracer import Graph
from tracer.graph.file import Target
from ui.graph_canvas import pretty_token

FEATURE, ERROR, EMBEDDING, LOGIT, BIAS = range(5)

FIGURE_HELP = {
    "Activation": "The feature's activation at this token.",
    "Probability": "What the model gives this token.",
    "Logit − mean": "What its inputs sum to, before any softcap.",
    "Influence": "Share of the targets' explanation that passes through this node, over all paths.",
    "Rank": "By influence, among all nodes.",
    "Token id": "In the model's vocabulary.",
}


def short_name(graph: Graph, node: int) -> str:
    """One line, for tables and tooltips."""
    layout = graph.layout
    kind, layer, position = layout.kind[node], int(layout.node_layer[node]), int(layout.node_position[node])
    if kind == BIAS:
        return "bias: " + ("embedding" if layer < 0 else "final" if layer == layout.n_layers else f"layer {layer}")
    at = f"{pretty_token(graph.tokens[position])} ({position})"
    if kind == FEATURE:
        return f"L{layer} · {layout.feature[node]} @ {at}"
    if kind == ERROR:
        return f"L{layer} · error @ {at}"
    if kind == EMBEDDING:
        return f"token {at}"
    return f"logit {target_name(graph.targets[node - layout.first_logit])}"


def target_name(target: Target) -> str:
    """A target's token; of a difference, which has no probability, both."""
    parts = [target.token] if target.probability is not None else target.token.split(" − ")
    return " − ".join(pretty_token(part) for part in parts)


def explanation(graph: Graph, node: int) -> str:
    """What this kind of node stands for, in a sentence."""
    layout = graph.layout
    kind, layer = layout.kind[node], int(layout.node_layer[node])
    if kind == FEATURE:
        what = "An MLP neuron" if graph.meta["features"] == "neurons" else "A transcoder feature"
        return f"{what} of layer {layer}: active here, and large enough in effect to be a node."
    if kind == ERROR:
        return (
            f"What the MLP of layer {layer} writes at this token beyond the features chosen for the graph:"
            " real, but not broken into parts."
        )
    if kind == EMBEDDING:
        return "The token itself, as the model embeds it: where an explanation ends."
    if kind == LOGIT:
        return "The output that the graph explains: its logit less the mean logit over the vocabulary."
    return "Constants: biases, and what the MLP writes at positions without features."


def figures(graph: Graph, node: int) -> list[tuple[str, str]]:
    """The numbers of a node, each with its name in FIGURE_HELP."""
    layout = graph.layout
    kind = layout.kind[node]
    if kind == LOGIT:
        target = graph.targets[node - layout.first_logit]
        chance = [] if target.probability is None else [("Probability", f"{target.probability:.1%}")]
        return chance if target.value is None else [*chance, ("Logit − mean", f"{target.value:.2f}")]
    found = [("Activation", f"{graph.activation[node]:.3g}")] if kind == FEATURE else []
    found += [
        ("Influence", f"{graph.influence[node]:.2%}"),
        ("Rank", f"{graph.rank[node]:,} of {layout.first_bias:,}"),
    ]
    return [*found, ("Token id", str(graph.token_ids[node - layout.first_embedding]))] if kind == EMBEDDING else found
