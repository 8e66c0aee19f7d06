"""What counts as an outcome of edits, and which values are far outside what is known."""

from lab import SteeredNode, SteeredRow
from tracer.steering.edits import Applied
from ui.steer_run import FAR, far_out, outcomes_of


def row(name: str, *nodes: tuple[int, int, int]) -> SteeredRow:
    """Nodes as (layer, position, feature)."""
    made = tuple(SteeredNode(layer=layer, position=position, feature=feature) for layer, position, feature in nodes)
    return SteeredRow(name=name, nodes=made)


def test_a_steered_node_is_no_outcome() -> None:
    steered = [row("set", (3, 6, 7), (4, 6, 8))]
    partly, elsewhere, other = row("partly", (4, 6, 8), (5, 6, 1)), row("elsewhere", (4, 5, 8)), row("other", (5, 6, 1))
    assert outcomes_of(steered, [*steered, partly, elsewhere, other]) == [elsewhere, other]


def test_values_far_outside_what_is_known_are_told() -> None:
    known = {(3, 7): (-0.5, 2.0)}

    def told(value: float, feature: int = 7, before: float = 1.0) -> list[str]:
        return far_out([Applied(3, 6, feature, value, before, (3,))], known)

    assert told(FAR * 2.0) == [] and told(-FAR * 2.0) == []
    assert told(FAR * 2.0 + 0.1) == ["L3 · 7 at position 6 is set to 4.1; in the corpus it lies between -0.5 and 2"]
    assert len(told(-FAR * 2.0 - 0.1)) == 1
    assert told(9.0, before=9.0) == []  # a no-op
    assert told(9.0, feature=8) == []  # nothing is known
