"""What is kept of each feature of one layer while a corpus passes by: examples, a histogram, how often it is active.

Values are those of one batch, (contexts, T, F). Bins are powers of two of the absolute value, one set for each sign.
"""

import torch
from torch import Tensor

TOP, LOW = 12, 6  # contexts with the largest and the most negative values
BEFORE, AFTER = 10, 6  # tokens kept around an example's peak; AFTER counts the peak
BINS = 12  # of one sign: below 2^-3, then one for each doubling
LOWEST = -4  # exponent of the first bin's lower end
STRIDE = 4  # every so many tokens of a context count in the histogram


def bins_of(values: Tensor) -> Tensor:
    """0 … 2·BINS − 1: negative values downward from BINS − 1, positive ones upward from BINS. Zeros belong nowhere."""
    size = (values.abs().log2().floor() - LOWEST).clamp(0, BINS - 1).long()
    return torch.where(values > 0, BINS + size, BINS - 1 - size)


def bin_edges() -> list[float]:
    """Lower ends of the bins of positive values."""
    return [0.0] + [2.0 ** (LOWEST + i) for i in range(1, BINS)]


class Tally:
    """Of F features. `state` has the tensors by name, as they are stored."""

    def __init__(self, n_features: int, state: dict[str, Tensor] | None = None) -> None:
        window = BEFORE + AFTER
        self.state = state or {
            "top_value": torch.full((n_features, TOP), -torch.inf),
            "low_value": torch.full((n_features, LOW), torch.inf),
            "interval_value": torch.zeros(n_features, BINS),
            "histogram": torch.zeros(n_features, 2 * BINS, dtype=torch.int32),
            "active": torch.zeros(n_features, dtype=torch.int32),
            **{f"{kind}_context": torch.full((n_features, n), -1, dtype=torch.int32) for kind, n in _KINDS},
            **{f"{kind}_at": torch.zeros(n_features, n, dtype=torch.int16) for kind, n in _KINDS},
            **{f"{kind}_window": torch.zeros(n_features, n, window, dtype=torch.float16) for kind, n in _KINDS},
        }

    def add(self, values: Tensor, first_context: int, skipped: int, generator: torch.Generator) -> None:
        """`values` (C, T, F); the first `skipped` tokens of a context don't count."""
        counted = values[:, skipped:]
        contexts = torch.arange(first_context, first_context + len(values), dtype=torch.int32)
        highest, lowest = counted.max(1), counted.min(1)
        self._best("top", highest.values.T, highest.indices.T + skipped, contexts, values, largest=True)
        self._best("low", lowest.values.T, lowest.indices.T + skipped, contexts, values, largest=False)
        self._intervals(highest.values.T, highest.indices.T + skipped, contexts, values, generator)
        self.state["active"] += (counted != 0).sum((0, 1)).int()
        sample = counted[:, ::STRIDE].flatten(0, 1)
        n_features = sample.shape[1]
        place = bins_of(sample) + 2 * BINS * torch.arange(n_features)
        counts = torch.bincount(place[sample != 0], minlength=2 * BINS * n_features)
        self.state["histogram"] += counts.view(n_features, -1).int()

    def _best(self, kind: str, value: Tensor, at: Tensor, contexts: Tensor, values: Tensor, largest: bool) -> None:
        """Merge one example a context, (F, C), into those kept."""
        state, n = self.state, self.state[f"{kind}_value"].shape[1]
        all_values = torch.cat([state[f"{kind}_value"], value], 1)
        chosen = torch.topk(all_values, n, dim=1, largest=largest).indices
        new = {
            "value": value,
            "context": contexts.expand(len(value), -1),
            "at": at.to(torch.int16),
            "window": _windows(values, at),
        }
        for name, fresh in new.items():
            both = torch.cat([state[f"{kind}_{name}"], fresh.to(state[f"{kind}_{name}"].dtype)], 1)
            index = chosen if both.ndim == 2 else chosen[:, :, None].expand(-1, -1, both.shape[2])
            state[f"{kind}_{name}"] = both.gather(1, index)

    def _intervals(
        self, value: Tensor, at: Tensor, contexts: Tensor, values: Tensor, generator: torch.Generator
    ) -> None:
        """One example of each size of a context's peak: of those that fit, a random one."""
        state, rows = self.state, torch.arange(len(value))
        windows = _windows(values, at)
        for c in range(value.shape[1]):
            size = (bins_of(value[:, c]) - BINS).clamp(min=0)
            taken = (value[:, c] > 0) & (
                (state["interval_context"][rows, size] < 0) | (torch.rand(len(value), generator=generator) < 0.25)
            )
            f, b = rows[taken], size[taken]
            state["interval_value"][f, b] = value[taken, c]
            state["interval_context"][f, b] = contexts[c]
            state["interval_at"][f, b] = at[taken, c].to(torch.int16)
            state["interval_window"][f, b] = windows[taken, c]


_KINDS = (("top", TOP), ("low", LOW), ("interval", BINS))


def _windows(values: Tensor, at: Tensor) -> Tensor:
    """(F, C, BEFORE + AFTER) float16: the values around each peak; outside the context 0."""
    offsets = torch.arange(-BEFORE, AFTER)
    place = at.T[:, None, :] + offsets[None, :, None]  # (C, window, F)
    inside = (place >= 0) & (place < values.shape[1])
    found = values.gather(1, place.clamp(0, values.shape[1] - 1)) * inside
    return found.permute(2, 0, 1).clamp(-65504, 65504).half()
