"""One trace: what is refused, what its graph is kept as, and the tracing itself. Knows no queue and no threads."""

from collections.abc import Iterable

import tracer
from cache import GraphCache, graph_key
from lab.runs.plan import PromptPlan
from service.jobs import Refused, TraceRequest
from service.shelf import Shelf
from tracer.attribution.cost import expected_layout, sweep_operations
from tracer.attribution.selection import n_candidates

_RATE = 50e9  # operations a second: a guess before the first trace


def check(request: TraceRequest, model: tracer.ReplacementModel, max_tokens: int) -> None:
    """Raises Refused for what is not even queued."""
    n = len(request.tokens)
    if n == 0:
        raise Refused("there are no tokens to trace: type a prompt")
    if n > max_tokens:
        raise Refused(f"the prompt has {n} tokens, this server takes {max_tokens} (HYPOGRAPH_MAX_TOKENS): shorten it")
    targets = request.targets
    wanted = (targets.a, targets.b) if isinstance(targets, tracer.Difference) else targets or ()
    foreign = [token for token in (*request.tokens, *wanted) if not 0 <= token < model.vocab_size]
    if foreign:
        raise Refused(f"token id {foreign[0]} is not in the model's vocabulary of {model.vocab_size}")


def key_of(request: TraceRequest, model: tracer.ReplacementModel) -> str:
    return graph_key(
        model_fingerprint=model.model_fingerprint,
        basis_fingerprint=model.basis_fingerprint,
        token_ids=request.tokens,
        targets=request.targets,
        position=request.position,
        max_logits=request.max_logits,
        logit_mass=request.logit_mass,
        max_nodes=request.max_nodes,
    )


def trace(request: TraceRequest, model: tracer.ReplacementModel, progress: tracer.Progress) -> tracer.Graph:
    return model.trace(
        tokens=list(request.tokens),
        targets=request.targets if isinstance(request.targets, tracer.Difference | None) else list(request.targets),
        position=request.position,
        max_logits=request.max_logits,
        logit_mass=request.logit_mass,
        max_nodes=request.max_nodes,
        progress=progress,
    )


def kept_graph(
    shelf: Shelf,
    owner: str | None,
    model: tracer.ReplacementModel,
    ids: list[int],
    targets: list[int],
    progress: tracer.Progress,
) -> tracer.Graph:
    """Of a prompt with these targets: from the cache, or traced and kept there as this owner's."""
    request = TraceRequest(tuple(ids), targets=tuple(targets))
    key = key_of(request, model)
    graph = shelf.get(key)
    if graph is None:
        graph = trace(request, model, progress)
        shelf.put(key, graph, owner)
    return graph


def seconds_of_trace(
    cache: GraphCache, model: tracer.ReplacementModel, n_tokens: int, max_nodes: int | str = "auto"
) -> float:
    """About: from the operations that the sweep needs, at the rate of the latest trace that is kept."""
    nodes = model.basis.default_nodes if max_nodes == "auto" else int(max_nodes)
    nodes = n_candidates(nodes) if model.basis.selects_by_attribution else nodes
    layout = expected_layout(model.anatomy, n_tokens, nodes, 10)
    return 1 + sweep_operations(model.anatomy, layout, 1) / _rate(cache)


def _rate(cache: GraphCache) -> float:
    for entry in cache.recent(1):
        operations, seconds = entry.meta.get("sweep_operations"), entry.meta.get("seconds", {}).get("sweep")
        if operations and seconds:
            return float(operations / seconds)
    return _RATE


def seconds_of_graphs(cache: GraphCache, model: tracer.ReplacementModel, prompts: Iterable[PromptPlan]) -> float:
    """About: of those that foretell these prompts; one that is kept already costs nothing."""
    asked = (TraceRequest(tuple(prompt.ids), targets=tuple(prompt.targets)) for prompt in prompts)
    missing = [request for request in asked if key_of(request, model) not in cache]
    return sum(seconds_of_trace(cache, model, len(request.tokens)) for request in missing)
