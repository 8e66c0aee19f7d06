"""What is handed to streamlit-agraph."""

from typing import Any

import pytest

import ui.circuit_drawing as drawing


def test_the_strongest_arrows_alone_have_their_share_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(drawing, "agraph", lambda **given: drawn.update(given))
    spots = [drawing.Spot(str(i), f"spot {i}", "", 0.0, float(i)) for i in range(41)]
    shares = [(-1) ** i * (i + 1) / 100 for i in range(40)]
    drawing.draw_circuit(spots, [drawing.Arrow(str(i), "40", share, "in all") for i, share in enumerate(shares)])
    edges = [edge.to_dict() for edge in drawn["edges"]]
    assert [edge["label"] for edge in edges] == [""] * 24 + [f"{share:+.0%}" for share in shares[24:]]
    assert edges[0]["title"] == "+1.0%: in all" and edges[1]["dashes"] and not edges[0]["dashes"]
