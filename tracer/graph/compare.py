"""Two graphs of one model side by side: their features aligned by (layer, index), their targets by token.

A feature can be a node at several positions of a prompt. Its influence is then the sum over them, which counts no path
twice: these nodes lie in one layer, and no edge joins two nodes of a layer. Its activation is that of the most
influential of them. Knows nothing of pruning: all nodes count.
"""

from pathlib import PurePath
from typing import Any, Protocol

import numpy as np
import pandas as pd

from tracer.errors import TracerError
from tracer.graph.graph import Graph

BOTH, LEFT, RIGHT = "both", "left", "right"
SIDES = (BOTH, LEFT, RIGHT)


class Made(Protocol):
    """A graph, or what stands for one, that says what it was made of."""

    @property
    def meta(self) -> dict[str, Any]: ...


def check_comparable(left: Made, right: Made) -> None:
    """Raises TracerError where (layer, index) does not name the same feature in both graphs.

    Fingerprints decide; where a graph has none, as it came from a file, the names of model and feature set.
    """
    for what, fingerprint, name in (
        ("models", "model_fingerprint", "model"),
        ("feature sets", "basis_fingerprint", "features"),
    ):
        prints = [graph.meta.get(fingerprint) for graph in (left, right)]
        names = [PurePath(str(graph.meta[name])).name for graph in (left, right)]
        if not all(prints) and names == ["unknown", "unknown"]:
            raise TracerError(f"neither graph says what it was made with: their {what} may be different ones")
        if len(set(prints if all(prints) else names)) > 1:
            said = " and ".join(" ".join(name.split())[:80] for name in dict.fromkeys(names))  # names are anybody's
            raise TracerError(
                f"the graphs are of different {what} ({said}), so their features have nothing in common but numbers;"
                " choose two graphs of one model and one feature set"
            )


def compare_features(left: Graph, right: Graph) -> pd.DataFrame:
    """One row a feature that is a node of either graph, the largest summed influence first.

    `where` is one of SIDES. Of each side: `influence` (share; 0 where the feature is no node), `activation`, `node` (id
    of the most influential position) and `positions` (how many); nan, None and 0 where it is no node. `change` is the
    influence on the right less that on the left, `activation_change` likewise. Raises TracerError for graphs that
    can't be compared.
    """
    check_comparable(left, right)
    table = _by_feature(left).merge(
        _by_feature(right), how="outer", on=["layer", "feature"], suffixes=("_left", "_right"), indicator="where"
    )
    table["where"] = table["where"].astype(str).str.removesuffix("_only")
    for side in (LEFT, RIGHT):
        absent = table[f"positions_{side}"].isna()
        table[f"influence_{side}"] = table[f"influence_{side}"].fillna(0.0)
        table[f"positions_{side}"] = table[f"positions_{side}"].fillna(0).astype(int)
        table[f"node_{side}"] = table[f"node_{side}"].astype(object).where(~absent, None)
    table["change"] = table["influence_right"] - table["influence_left"]
    table["activation_change"] = table["activation_right"] - table["activation_left"]
    order = np.lexsort((table["feature"], table["layer"], -(table["influence_left"] + table["influence_right"])))
    return table.iloc[order].reset_index(drop=True)


def shared_influence(table: pd.DataFrame) -> tuple[float, float]:
    """Of the influence of all features, the share of those that both graphs have: left, right.

    `table` is that of `compare_features`. 0 for a graph whose features have no influence.
    """
    shared = table[table["where"] == BOTH]
    whole = {side: float(table[f"influence_{side}"].sum()) for side in (LEFT, RIGHT)}
    left, right = (float(shared[f"influence_{side}"].sum()) / max(whole[side], 1e-30) for side in (LEFT, RIGHT))
    return left, right


def compare_targets(left: Graph, right: Graph) -> pd.DataFrame:
    """One row a target of either graph, the most probable first: `token`, and of each side `probability` (nan for a
    difference, or where it is no target) and `value` (logit less the mean logit; nan where it is unknown)."""
    table = _targets(left).merge(_targets(right), how="outer", on="key", suffixes=("_left", "_right"))
    table["token"] = table["token_left"].fillna(table["token_right"])
    best = table[["weight_left", "weight_right"]].max(axis=1)
    order = np.lexsort((table["token"], -best.to_numpy()))
    columns = ["token", "probability_left", "probability_right", "value_left", "value_right"]
    return table.iloc[order][columns].reset_index(drop=True)


def _by_feature(graph: Graph) -> pd.DataFrame:
    layout, n = graph.layout, graph.layout.n_features
    nodes = pd.DataFrame(
        {
            "layer": layout.layer,
            "feature": layout.feature,
            "influence": graph.influence[:n],
            "activation": graph.activation.astype(np.float64),
            "node": graph.ids[:n],
        }
    ).sort_values("influence", ascending=False, kind="stable")
    keys = ["layer", "feature"]
    first = nodes.drop_duplicates(keys)  # not groupby.first, which would pass over an activation that is nan
    sums = nodes.groupby(keys)["influence"].agg(influence="sum", positions="size").reset_index()
    return first.drop(columns="influence").merge(sums, on=keys)


def _targets(graph: Graph) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "key": [t.token if t.id is None else str(t.id) for t in graph.targets],
            "token": [t.token for t in graph.targets],
            "probability": [np.nan if t.probability is None else t.probability for t in graph.targets],
            "value": [np.nan if t.value is None else t.value for t in graph.targets],
            "weight": [t.weight for t in graph.targets],
        }
    ).drop_duplicates("key")
