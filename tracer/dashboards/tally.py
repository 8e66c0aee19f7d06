"""What is kept of each feature of one layer while a corpus passes by: examples, a histogram, how often it is active.

Values are those of one batch, (C, T, F): contexts, tokens, features. Bins are powers of two of the absolute value, one
set for each sign. A feature takes BYTES_A_FEATURE, however long the corpus is. Most batches change few of the examples,
so each is found by its context's largest value alone, and its window is read only if it is kept.
"""

import numpy as np
import torch
from torch import Tensor

TOP, LOW = 12, 6  # contexts with the largest and the most negative values
BEFORE, AFTER = 10, 6  # tokens kept around an example's peak; AFTER counts the peak
BINS = 12  # of one sign: below 2^-3, then one for each doubling
LOWEST = -4  # exponent of the first bin's lower end
STRIDE = 4  # every so many tokens of a context count in the histogram

_KINDS = (("top", TOP), ("low", LOW), ("interval", BINS))
_EXAMPLE = 4 + 4 + 2 + 2 * (BEFORE + AFTER)  # bytes: value, context, position, window
BYTES_A_FEATURE = (
    (TOP + LOW + BINS) * _EXAMPLE + 4 * BINS + 4 * 2 * BINS + 4
)  # also a draw a bin, the histogram, a count


_EXPONENTS = np.arange(1 << 8) - 127
_POSITIVE = BINS + np.clip(_EXPONENTS - LOWEST, 0, BINS - 1)
_BINS = np.concatenate([_POSITIVE, 2 * BINS - 1 - _POSITIVE])  # by sign and exponent, the first 9 bits of a float32
_BINS[[0, 1 << 8]] = 2 * BINS


def bins_of(values: np.ndarray) -> np.ndarray:
    """0 … 2·BINS − 1: negative values downward from BINS − 1, positive ones upward from BINS. Zeros: 2·BINS.

    int64, of contiguous float32 of any shape. What is smaller than float32's usual numbers (1e-38) counts as zero.
    """
    return _BINS[values.view(np.uint32) >> 23]


def bin_edges() -> list[float]:
    """Lower ends of the bins of positive values."""
    return [0.0] + [2.0 ** (LOWEST + i) for i in range(1, BINS)]


class Tally:
    """Of F features. `state` has the tensors by name, as they are stored.

    A feature's examples are in no order; where one is missing its context is −1.
    """

    def __init__(self, n_features: int, state: dict[str, Tensor] | None = None) -> None:
        window = BEFORE + AFTER
        self.state = state or {
            **{f"{kind}_value": torch.zeros(n_features, n) for kind, n in _KINDS},
            "interval_draw": torch.full((n_features, BINS), -1.0),
            "histogram": torch.zeros(n_features, 2 * BINS, dtype=torch.int32),
            "active": torch.zeros(n_features, dtype=torch.int32),
            **{f"{kind}_context": torch.full((n_features, n), -1, dtype=torch.int32) for kind, n in _KINDS},
            **{f"{kind}_at": torch.zeros(n_features, n, dtype=torch.int16) for kind, n in _KINDS},
            **{f"{kind}_window": torch.zeros(n_features, n, window, dtype=torch.float16) for kind, n in _KINDS},
        }

    def add(self, values: Tensor, first_context: int, skipped: int, draws: Tensor) -> None:
        """`values` (C, T, F); the first `skipped` tokens of a context don't count.

        `draws` (C, F), of [0, 1): of the contexts whose peak is of one size, that with the largest draw is kept, which
        is each of them with the same chance.
        """
        counted = values[:, skipped:].numpy()  # numpy's reductions of the middle of three axes are several times faster
        highest, lowest = (torch.from_numpy(peak) for peak in (counted.max(1), counted.min(1)))
        self._extremes("top", highest, values, first_context, skipped)
        self._extremes("low", lowest, values, first_context, skipped)
        self._intervals(highest, draws, values, first_context, skipped)
        self.state["active"] += torch.from_numpy(_nonzeros(counted))
        self.state["histogram"] += torch.from_numpy(_histograms(counted[:, ::STRIDE]))

    def _extremes(self, kind: str, peaks: Tensor, values: Tensor, first_context: int, skipped: int) -> None:
        """Put contexts whose peak, (C, F), goes beyond the least of those kept in its place."""
        kept, sign = self.state[f"{kind}_value"], 1 if kind == "top" else -1
        least = (sign * kept).amin(1)
        beyond = sign * peaks > least
        rows = beyond.any(0).nonzero()[:, 0]
        new = torch.where(beyond, sign * peaks, -torch.inf)[:, rows].T
        both = torch.cat([sign * kept[rows], new], 1)
        chosen = torch.zeros_like(both, dtype=torch.bool)
        chosen.scatter_(1, both.topk(kept.shape[1], dim=1).indices, True)
        # A row gives up as many places as it takes in contexts, so both lists go row by row together.
        row, place = (~chosen[:, : kept.shape[1]]).nonzero(as_tuple=True)
        context = chosen[:, kept.shape[1] :].nonzero(as_tuple=True)[1]
        self._keep(kind, rows[row], place, context, values, first_context, skipped)

    def _intervals(self, peaks: Tensor, draws: Tensor, values: Tensor, first_context: int, skipped: int) -> None:
        """One example of each size of a context's peak, of those that fit a random one."""
        best = self.state["interval_draw"]
        size = torch.from_numpy(bins_of(peaks.numpy()) - BINS).clamp_(0, BINS - 1).T
        draws = torch.where(peaks > 0, draws, -1.0).T
        before = best.gather(1, size)
        best.scatter_reduce_(1, size, draws, "amax")
        feature, context = ((draws > before) & (draws == best.gather(1, size))).nonzero(as_tuple=True)
        self._keep("interval", feature, size[feature, context], context, values, first_context, skipped)

    def _keep(
        self,
        kind: str,
        feature: Tensor,
        place: Tensor,
        context: Tensor,
        values: Tensor,
        first_context: int,
        skipped: int,
    ) -> None:
        """Write n examples, (n,) each: of a feature, in one of its places, the peak of a context of the batch."""
        curve = values[context, skipped:, feature]  # (n, T − skipped)
        peak = curve.argmin(1) if kind == "low" else curve.argmax(1)
        at = peak + skipped
        window = at[:, None] + torch.arange(-BEFORE, AFTER)
        inside = (window >= 0) & (window < values.shape[1])
        around = values[context[:, None], window.clamp(0, values.shape[1] - 1), feature[:, None]] * inside
        for name, new in {
            "value": curve.gather(1, peak[:, None])[:, 0],
            "context": (context + first_context).int(),
            "at": at.to(torch.int16),
            "window": around.clamp(-65504, 65504).half(),
        }.items():
            self.state[f"{kind}_{name}"][feature, place] = new


def _nonzeros(values: np.ndarray) -> np.ndarray:
    """(F,) int32, of (C, T, F). Sums of bytes, which are the fastest, as long as a context's fit into one."""
    of_context = (values != 0).view(np.uint8).sum(1, dtype=np.uint8 if values.shape[1] < 256 else np.int32)
    return of_context.sum(0, dtype=np.int32)


def _histograms(values: np.ndarray) -> np.ndarray:
    """(F, 2·BINS) int32, of (C, T, F)."""
    n_features, n_bins = values.shape[2], 2 * BINS + 1  # the last for zeros
    place = bins_of(np.ascontiguousarray(values))
    place += n_bins * np.arange(n_features)
    counts = np.bincount(place.reshape(-1), minlength=n_bins * n_features)
    return counts.reshape(n_features, n_bins)[:, :-1].astype(np.int32)
