"""What stands before a prompt: circuit-tracer's rule, and the longer prefix of a chat-tuned model."""

from dataclasses import dataclass

import pytest

from tests.helpers import PROMPT, replacement, tiny_gemma3, tiny_llama, transcoders, with_transcoders
from tracer.model.prefix import PLAIN, Prefix
from tracer.presets import PRESETS

CIRCUIT_TRACER = Prefix("circuit-tracer")


@dataclass
class Tokenizer:
    """Splits at spaces; adds <bos> (0) unless told not to."""

    bos_token_id: int | None = 0
    pad_token_id: int | None = 7
    eos_token_id: int | None = 8

    @property
    def all_special_ids(self) -> list[int]:
        return [i for i in (self.bos_token_id, self.pad_token_id, self.eos_token_id) if i is not None]

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        ids = [int(word) for word in text.split()]
        return {"input_ids": [0, *ids] if add_special_tokens else ids}


def test_the_tokenizers_own_rule_adds_what_it_adds():
    assert PLAIN.ids(Tokenizer(), "3 4") == [0, 3, 4]


@pytest.mark.parametrize(
    ("special", "first"),
    [((0, 7, 8), 0), ((None, 7, 8), 7), ((None, None, 8), 8), ((5, None, None), 5)],
)
def test_circuit_tracers_rule_puts_bos_else_pad_else_eos(special, first):
    assert CIRCUIT_TRACER.ids(Tokenizer(*special), "3 4") == [first, 3, 4]


def test_circuit_tracers_rule_adds_nothing_to_a_special_token_or_without_one():
    assert CIRCUIT_TRACER.ids(Tokenizer(), "8 3") == [8, 3]
    assert CIRCUIT_TRACER.ids(Tokenizer(None, None, None), "3 4") == [3, 4]


def test_excluded_positions():
    chat = Prefix("circuit-tracer", chat=(0, 3, 4))
    tokenizer = Tokenizer()
    assert chat.excluded(tokenizer, [0, 3, 4, 9]) == [0, 1, 2]
    assert chat.excluded(tokenizer, [0, 3, 9, 9]) == [0]
    assert chat.excluded(tokenizer, [9, 3, 4]) == []


@pytest.mark.parametrize("kind", ["neurons", "plt", "clt"])
def test_rows_sum_with_a_prefix_of_four_positions(kind, tmp_path):
    """Their MLPs' whole outputs are constants; attention still reads there, and a skip still passes."""
    if kind == "neurons":
        model = replacement(tiny_gemma3())
    else:
        base = tiny_llama()
        model = with_transcoders(base, transcoders(tmp_path / "set", base, kind=kind, skip=kind == "plt"))
    ids = model.token_ids(PROMPT)
    model.prefix = Prefix(chat=tuple(ids[:4]))
    for max_nodes in (None, 20):
        graph = model.trace(tokens=ids, max_nodes=max_nodes)
        assert graph.meta["excluded"] == [0, 1, 2, 3]
        assert graph.layout.position.min() >= 4
        assert graph.row_error < 1e-4
        errors = graph.adjacency[:, graph.layout.first_error : graph.layout.first_embedding]
        excluded = graph.layout.node_position[graph.layout.first_error : graph.layout.first_embedding] < 4
        assert abs(errors[:, excluded]).sum() == 0


def test_published_graphs_have_circuit_tracers_rule_and_the_default_its_tokenizers():
    assert PRESETS["gemma-3-270m"].prefix == PLAIN
    assert PRESETS["gemma-2-2b"].prefix.rule == PRESETS["qwen3-4b"].prefix.rule == "circuit-tracer"
    assert PRESETS["gemma-3-4b-it"].prefix.chat == (2, 105, 2364, 107)
    assert len({preset.hub_id for preset in PRESETS.values()}) == len(PRESETS)
