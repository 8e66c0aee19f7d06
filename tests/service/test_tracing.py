"""How long traces will take, told before."""

from pathlib import Path

from cache import GraphCache
from lab.runs.plan import make_plan
from service import TraceRequest
from service.tracing import key_of, seconds_of_graphs, seconds_of_trace, trace
from tests.lab.runs import tiny
from tracer.errors import silent


def test_graphs_that_foretell_are_counted_but_those_that_are_kept(tmp_path: Path) -> None:
    model, cache = tiny.model(), GraphCache(tmp_path, 10_000_000)
    prompts = make_plan(tiny.hypothesis(), model).prompts
    each = [seconds_of_trace(cache, model, len(prompt.ids)) for prompt in prompts]
    assert seconds_of_graphs(cache, model, prompts) == sum(each) > len(prompts)  # a second each, and the sweep
    request = TraceRequest(tuple(prompts[0].ids), targets=tuple(prompts[0].targets))
    cache.put(key_of(request, model), trace(request, model, silent))  # from now on its rate counts
    left = [seconds_of_trace(cache, model, len(prompt.ids)) for prompt in prompts[1:]]
    assert seconds_of_graphs(cache, model, prompts) == sum(left)


def test_longer_prompts_and_more_nodes_take_longer(tmp_path: Path) -> None:
    model, cache = tiny.model(), GraphCache(tmp_path, 10_000_000)
    short, long = (seconds_of_trace(cache, model, n, 40) for n in (4, 16))
    assert short < long < seconds_of_trace(cache, model, 16, 80)
