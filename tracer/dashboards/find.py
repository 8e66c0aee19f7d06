"""Which features fire on a word: by the tokens at which their largest activations of the corpus lie."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from tracer.dashboards.store import read_meta

LEAST = 2  # of a feature's largest activations: one may be chance


@dataclass(frozen=True)
class Firing:
    layer: int
    feature: int
    n: int  # of its largest activations lie at such a token
    of: int
    value: float  # the largest of these


def firing_on(folder: Path, wanted: Callable[[int], bool], most: int = 20) -> list[Firing]:
    """Features whose largest activations lie most often at a token that is `wanted` by its id; [] without dashboards.

    Reads what is kept of the largest activations, a layer at a time, and none of the histograms and windows.
    """
    meta = read_meta(folder)
    if meta is None:
        return []
    state, found = folder / meta["state"], []
    try:
        with safe_open(state / "corpus.safetensors", "pt") as corpus:
            rows = corpus.get_tensor("rows")
        ids = rows.unique()
        hit = torch.isin(rows, ids[torch.tensor([wanted(id) for id in ids.tolist()], dtype=torch.bool)])
        for path in state.glob("[0-9]*.safetensors"):
            with safe_open(path, "pt") as file:
                context, at, value = (file.get_tensor(f"top_{name}") for name in ("context", "at", "value"))
            there = context >= 0
            peak = hit[context.clamp(min=0).long(), at.long()] & there
            count = peak.sum(dim=1)
            largest = torch.where(peak, value.float(), -torch.inf).amax(dim=1)
            for feature in (count >= LEAST).nonzero()[:, 0].tolist():
                n, of = int(count[feature]), int(there[feature].sum())
                found.append(Firing(int(path.stem), feature, n, of, float(largest[feature])))
    except (OSError, KeyError, IndexError, ValueError, SafetensorError):  # spoiled, or replaced by a newer state
        return []
    return sorted(found, key=lambda f: (-f.n / f.of, -f.n, f.layer, f.feature))[:most]
