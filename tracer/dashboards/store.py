"""Read the dashboards of one feature, without loading those of the others."""

from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, NonNegativeInt, PositiveInt, StringConstraints, ValidationError
from safetensors import SafetensorError, safe_open

from tracer.dashboards.tally import AFTER, BEFORE, BINS, STRIDE, bin_edges

META = "meta.json"


class _Meta(BaseModel):
    version: int
    model: str
    basis: str
    corpus: str
    contexts: PositiveInt
    skipped: NonNegativeInt
    done: PositiveInt
    state: Annotated[str, StringConstraints(pattern=r"^state-\d+$")]  # the folder with the tensors


@dataclass(frozen=True)
class Example:
    """A stretch of the corpus and the feature's activation at each of its tokens."""

    token_ids: list[int]
    values: list[float]
    peak: int  # index of the token with the largest (or most negative) activation
    value: float


@dataclass(frozen=True)
class Dashboard:
    top: list[Example]  # the largest first
    low: list[Example]  # the most negative first
    intervals: list[Example]  # one for each size of peak that occurs, the largest first
    histogram: list[int]  # 2·BINS counts, see `tally.bins_of`
    n_sampled: int  # tokens in the histogram, zeros included
    density: float  # share of tokens at which it is not zero

    def rank(self, value: float) -> float:
        """Share of sampled tokens whose activation is of this sign and surely larger, by the bins of the histogram."""
        counts = self.histogram[BINS:] if value > 0 else self.histogram[BINS - 1 :: -1]
        beyond = sum(n for edge, n in zip(bin_edges(), counts, strict=True) if edge > abs(value))
        return beyond / max(self.n_sampled, 1)


def share(folder: Path, model: str, basis: str) -> float | None:
    """How much of the corpus has passed; None if there is nothing of this model and basis."""
    meta = read_meta(folder)
    if meta is None or (meta["model"], meta["basis"]) != (model, basis):
        return None
    return meta["done"] / meta["contexts"]


def read(folder: Path, layer: int, feature: int) -> Dashboard | None:
    """None where there is none, or its files are spoiled."""
    meta = read_meta(folder)
    if meta is None:
        return None
    try:
        state = folder / meta["state"]
        with (
            safe_open(state / f"{layer}.safetensors", "pt") as file,
            safe_open(state / "corpus.safetensors", "pt") as corpus,
        ):
            one = {name: file.get_slice(name)[feature] for name in file.keys()}  # noqa: SIM118
            rows = corpus.get_slice("rows")
            length = rows.get_shape()[1]
            examples = {
                kind: [
                    _example(rows[int(context)], int(at), window, float(value))
                    for context, at, window, value in zip(
                        one[f"{kind}_context"],
                        one[f"{kind}_at"],
                        one[f"{kind}_window"],
                        one[f"{kind}_value"],
                        strict=True,
                    )
                    if context >= 0
                ]
                for kind in ("top", "low", "interval")
            }
    except (OSError, KeyError, IndexError, SafetensorError):
        return None
    counted = length - meta["skipped"]  # tokens of a context
    by_value = attrgetter("value")
    return Dashboard(
        sorted(examples["top"], key=by_value, reverse=True),
        sorted(examples["low"], key=by_value),
        sorted(examples["interval"], key=by_value, reverse=True),
        one["histogram"].tolist(),
        meta["done"] * -(-counted // STRIDE),
        float(one["active"]) / (meta["done"] * counted),
    )


def _example(row: torch.Tensor, at: int, window: torch.Tensor, value: float) -> Example:
    first, end = max(0, at - BEFORE), min(len(row), at + AFTER)
    inside = window[first - (at - BEFORE) : end - (at - BEFORE)]
    return Example(row[first:end].tolist(), inside.float().tolist(), at - first, value)


def read_meta(folder: Path) -> dict | None:
    """What `build` wrote down: model, basis, corpus, contexts, skipped, done, state. None if there is nothing whole."""
    try:
        return _Meta.model_validate_json((folder / META).read_bytes()).model_dump()
    except (OSError, ValidationError):
        return None
