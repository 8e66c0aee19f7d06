"""What a trace is asked for, checked, and the clock of its phases."""

import time

import torch

from tracer.errors import TracerError


def cut(position: int | None, n_tokens: int) -> int:
    """How many tokens remain when the prompt is cut after `position`. Raises TracerError outside the prompt."""
    if position is None:
        return n_tokens
    if not -n_tokens <= position < n_tokens:
        raise TracerError(f"position {position} is outside the prompt; its {n_tokens} tokens are 0 to {n_tokens - 1}")
    return position % n_tokens + 1


def check_settings(max_logits: int, logit_mass: float, max_nodes: int | str | None) -> None:
    """Raises TracerError for values out of range."""
    if max_logits < 1:
        raise TracerError(f"max_logits is {max_logits}; give at least 1")
    if not 0 < logit_mass <= 1:
        raise TracerError(f"logit_mass is {logit_mass:g}; give a share above 0 and at most 1")
    if (isinstance(max_nodes, str) and max_nodes != "auto") or (isinstance(max_nodes, int) and max_nodes < 1):
        raise TracerError(f"max_nodes is {max_nodes!r}; give 'auto', None or a number of at least 1")


def check_products(device: torch.device) -> None:
    """Raises TracerError where products of a GPU are set to be rounded (TF32): rows then miss their targets by 3e-4."""
    if device.type == "cuda" and torch.backends.cuda.matmul.fp32_precision not in ("none", "ieee"):
        raise TracerError(
            "torch is set to round float32 products on the GPU, and a graph would not add up; call"
            " torch.set_float32_matmul_precision('highest') first"
        )


class Clock:
    """Seconds of each phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 4)
        self._last = now
