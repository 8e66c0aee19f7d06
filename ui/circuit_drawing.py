"""A circuit drawn by streamlit-agraph: the one place that knows it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from streamlit_agraph import Config, Edge, Node, agraph

from ui.palette import palette

MOST_DRAWN = 100  # nodes; streamlit-agraph gets slow beyond
LEVEL = 90.0  # units between rows
MOST_FIGURES = 16  # arrows with their share beside them, the strongest: more lie on each other
HEIGHTS = 420, 760  # pixels of the drawing, by its rows


@dataclass(frozen=True)
class Spot:
    id: str
    label: str
    title: str  # where the pointer rests on it
    x: float
    y: float
    several: bool = False  # nodes in one: a box


@dataclass(frozen=True)
class Arrow:
    source: str
    target: str
    share: float  # of the target's input, signed
    title: str  # where the pointer rests on it, after its share


def draw_circuit(spots: Sequence[Spot], arrows: Sequence[Arrow]) -> str | None:
    """The id of the spot that was clicked."""
    ours = palette()
    strongest = sorted((abs(arrow.share) for arrow in arrows), reverse=True)[:MOST_FIGURES]
    least = strongest[-1] if strongest else 0.0
    nodes = [
        Node(
            id=spot.id,
            label=spot.label,
            title=spot.title,
            shape="box" if spot.several else "ellipse",
            color={"background": "#e7f0ef" if spot.several else "#f4f4f2", "border": "#5b6b6a"},
            font={"size": 20, "color": "#182625"},
            x=spot.x,
            y=spot.y,
        )
        for spot in spots
    ]
    edges = [
        Edge(
            source=arrow.source,
            target=arrow.target,
            color=ours.positive if arrow.share > 0 else ours.negative,
            width=float(1 + 12 * abs(arrow.share)),
            dashes=bool(arrow.share < 0),
            label=f"{arrow.share:+.0%}" if abs(arrow.share) >= least else "",
            font={"size": 16, "color": ours.text, "strokeColor": ours.ground, "strokeWidth": 4},
            title=f"{arrow.share:+.1%}: {arrow.title}",
        )
        for arrow in arrows
    ]
    height = int(np.clip(LEVEL * len({spot.y for spot in spots}), *HEIGHTS))
    config = Config(width="100%", height=height, directed=True, physics=False, hierarchical=False, groups={})
    found = agraph(nodes=nodes, edges=edges, config=config)
    return found if isinstance(found, str) and found in {spot.id for spot in spots} else None
