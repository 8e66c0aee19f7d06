"""Many graphs of one model: which features recur, and which graphs are unlike the others.

A graph becomes a `Sheet`, the little that is needed of it, so one graph at a time is in memory; a feature of a sheet is
(layer, index), summed over the positions where it is a node: these lie in one layer, so no path is counted twice. Its
influence is given as a share of the targets' weight, so that graphs that explain .5 and .95 can be averaged. That a
feature is no node of a graph means that it was not active or not selected: not that it does nothing there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import betaincinv

from tracer.graph.compare import check_comparable
from tracer.graph.graph import Graph
from tracer.graph.scores import Scores

LEVEL = 0.95
FAR = 3.5
"""Robust z from which a graph counts as far from the others (Iglewicz and Hoaglin, 1993, section 3)."""

FEWEST = 5
"""Graphs of which "far from the others" is asked."""

ROUNDING = 1e-4
"""Row errors below this are rounding and all alike: the engine takes such rows to add up."""

_LAYER = 2**32  # a feature as one number: layer · 2³² + index
_MADE_OF = ("model", "features", "model_fingerprint", "basis_fingerprint")


@dataclass(frozen=True)
class Sheet:
    """What aggregation needs of one graph. Arrays (F,), one entry a feature, sorted by layer and index."""

    id: str
    prompt: str
    meta: dict[str, Any]  # what it was made of
    code: np.ndarray  # int64
    influence: np.ndarray  # summed over its positions, as a share of the targets' weight
    activation: np.ndarray  # at the position where it is most influential
    position: np.ndarray  # that position
    n_tokens: int
    targets: tuple[str, ...]
    scores: Scores
    row_error: float  # nan for a graph from another program


def sheet(id: str, graph: Graph) -> Sheet:
    layout, n = graph.layout, graph.layout.n_features
    influence = graph.influence[:n] / max(float(graph.weights.sum()), 1e-30)
    code = layout.layer * _LAYER + layout.feature
    order = np.lexsort((-influence, code))
    code = code[order]
    first = np.flatnonzero(np.diff(code, prepend=-1))
    return Sheet(
        id=id,
        prompt=str(graph.meta["prompt"]),
        meta={name: graph.meta.get(name) for name in _MADE_OF},
        code=code[first],
        influence=np.add.reduceat(influence[order], first) if n else np.empty(0),
        activation=graph.activation[order][first],
        position=layout.position[order][first].astype(np.int32),
        n_tokens=layout.n_tokens,
        targets=tuple(target.token for target in graph.targets),
        scores=graph.scores(),
        row_error=graph.row_error,
    )


def feature_of(code: int) -> tuple[int, int]:
    """Layer and index."""
    return divmod(int(code), _LAYER)


def recurring(sheets: Sequence[Sheet], least: float = 0.0, level: float = LEVEL) -> pd.DataFrame:
    """One row a feature, those of most graphs first, of equals the more influential.

    `graphs`: in how many it is a node with an influence of `least` (a share) or more; `share` of all, with `low` and
    `high`, its Clopper–Pearson interval: exact for prompts drawn at random, and no less than `level`. Over those graphs
    alone: `influence_mean`, `influence_median`, `activation_mean`, `activation_median`. `strongest` is the id of the
    graph in which it has most influence, `position` where that is largest there. Raises TracerError for graphs of
    different models or feature sets.
    """
    _check(sheets)
    of = np.repeat(np.arange(len(sheets)), [len(one.code) for one in sheets])
    code, influence, activation, position = (
        np.concatenate([getattr(one, name) for one in sheets] or [np.empty(0)])
        for name in ("code", "influence", "activation", "position")
    )
    there = influence >= least
    of, code, influence, activation, position = (a[there] for a in (of, code, influence, activation, position))
    codes, at = np.unique(code, return_inverse=True)
    graphs = np.bincount(at, minlength=len(codes))
    low, high = clopper_pearson(graphs, len(sheets), level)
    strongest = np.lexsort((-influence, at))[np.append(0, np.cumsum(graphs)[:-1])] if len(codes) else np.empty(0, int)
    table = pd.DataFrame(
        {
            "layer": codes // _LAYER,
            "feature": codes % _LAYER,
            "graphs": graphs,
            "share": graphs / max(len(sheets), 1),
            "low": low,
            "high": high,
            "influence_mean": _means(influence, at, graphs),
            "influence_median": _medians(influence, at, graphs),
            "activation_mean": _means(activation, at, graphs),
            "activation_median": _medians(activation, at, graphs),
            "strongest": np.array([one.id for one in sheets], dtype=object)[of[strongest]],
            "position": position[strongest].astype(int),
        }
    )
    order = np.lexsort((-table["influence_mean"], -table["graphs"]))
    return table.iloc[order].reset_index(drop=True)


def clopper_pearson(k: np.ndarray, n: int, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """The exact interval of a share from k of n (Clopper and Pearson, 1934): quantiles of beta distributions."""
    k, tail = np.asarray(k, dtype=np.float64), (1 - level) / 2
    low = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, tail), 0.0)
    high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - tail), 1.0)
    return low, high


def overlaps(sheets: Sequence[Sheet]) -> np.ndarray:
    """(n,): how much of a graph's influence lies where the other graphs have theirs, 0 … 1; nan for one alone.

    Of x, a graph's influence on its features as shares of their sum, and m, the mean of the other graphs' x:
    Σ min(x, m) / Σ max(x, m), the weighted Jaccard index (Ruzicka, 1958).
    """
    codes = np.unique(np.concatenate([one.code for one in sheets] or [np.empty(0, np.int64)]))
    total, found = np.zeros(len(codes)), np.full(len(sheets), np.nan)
    parts = [(np.searchsorted(codes, one.code), one.influence / max(one.influence.sum(), 1e-30)) for one in sheets]
    for at, x in parts:
        total[at] += x
    for i, (at, x) in enumerate(parts if len(sheets) > 1 else ()):
        others = np.maximum(total[at] - x, 0) / (len(sheets) - 1)
        mass = (total.sum() - x.sum()) / (len(sheets) - 1)
        shared = np.minimum(x, others).sum()
        found[i] = shared / max(x.sum() + mass - shared, 1e-30)
    return found


def table_of_graphs(sheets: Sequence[Sheet]) -> pd.DataFrame:
    """One row a graph, in the order given: id, prompt, tokens, targets, features, the four scores, row_error, overlap
    with the others. Raises TracerError as `recurring`."""
    _check(sheets)
    table = pd.DataFrame(
        {
            "id": [one.id for one in sheets],
            "prompt": [one.prompt for one in sheets],
            "tokens": [one.n_tokens for one in sheets],
            "targets": [", ".join(one.targets[:3]) for one in sheets],
            "features": [len(one.code) for one in sheets],
            **{name: [getattr(one.scores, name) for one in sheets] for name in Scores.__dataclass_fields__},
            "row_error": [one.row_error for one in sheets],
        }
    )
    table["overlap"] = overlaps(sheets)
    return table


def outliers(graphs: pd.DataFrame) -> pd.DataFrame:
    """Of `table_of_graphs`: one row a graph and measure that lies far from the other graphs', the farthest first.

    Columns id, prompt, measure, value, median, z. Far is |z| > FAR: of `replacement` and `completeness` on either side,
    of `overlap` below, of `row_error` above (its logarithm; what is below ROUNDING counts as that). None of less than
    FEWEST graphs.
    """
    found = []
    for measure in ("overlap", "replacement", "completeness", "row_error") if len(graphs) >= FEWEST else ():
        values = graphs[measure].to_numpy(np.float64)
        z = robust_z(np.log10(np.maximum(values, ROUNDING)) if measure == "row_error" else values)
        distance = {"overlap": -z, "row_error": z}.get(measure, np.abs(z))
        for i in np.flatnonzero(distance > FAR):
            row = {name: graphs[name].iloc[i] for name in ("id", "prompt")}
            found.append(row | {"measure": measure, "value": values[i], "median": np.nanmedian(values), "z": z[i]})
    table = pd.DataFrame(found, columns=["id", "prompt", "measure", "value", "median", "z"])
    return table.iloc[np.argsort(-table["z"].abs(), kind="stable")].reset_index(drop=True)


def robust_z(values: np.ndarray) -> np.ndarray:
    """(x − median) / (1.4826 · MAD), MAD the median distance from the median: as z for normal values, and one graph far
    away does not hide itself. Where more than half are equal, so that MAD is 0, by 1.2533 · the mean distance; all 0
    where no value differs."""
    gap = values - np.nanmedian(values) if np.isfinite(values).any() else values
    distance = np.abs(gap[np.isfinite(gap)])
    if not distance.any():
        return np.where(np.isfinite(values), 0.0, np.nan)
    middle = float(np.median(distance))
    return gap / (1.4826 * middle if middle > 0 else 1.2533 * float(distance.mean()))


def _check(sheets: Iterable[Sheet]) -> None:
    first: Sheet | None = None
    for one in sheets:
        first = first or one
        if one is not first:
            check_comparable(first, one)


def _means(values: np.ndarray, group: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    return np.bincount(group, values, len(sizes)) / sizes


def _medians(values: np.ndarray, group: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    if not len(sizes):
        return np.empty(0)
    ordered = values[np.lexsort((values, group))].astype(np.float64)
    start = np.append(0, np.cumsum(sizes)[:-1])
    return (ordered[start + (sizes - 1) // 2] + ordered[start + sizes // 2]) / 2
