"""One trace: what is refused, what its graph is kept as, and the tracing itself. Knows no queue and no threads."""

import tracer
from cache import graph_key
from service.jobs import Refused, TraceRequest
from service.shelf import Shelf


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
    shelf: Shelf, model: tracer.ReplacementModel, ids: list[int], targets: list[int], progress: tracer.Progress
) -> tracer.Graph:
    """Of a prompt with these targets: from the cache, or traced and kept there."""
    request = TraceRequest(tuple(ids), targets=tuple(targets))
    key = key_of(request, model)
    graph = shelf.get(key)
    if graph is None:
        graph = trace(request, model, progress)
        shelf.put(key, graph)
    return graph
