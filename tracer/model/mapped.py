"""Weights that stay on the disk: mapped from the model's files, their memory given back once they were used.

The system's cache keeps what it has room for, so that using them again seldom reads the disk. A file must not be
changed while it is mapped.
"""

import math
import mmap
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from tracer.features.tensors import StoredTensor, stored_tensors


class MappedWeights:
    """The parameters of a model on the CPU that its folder holds in their own name, shape and dtype."""

    def __init__(self, model: nn.Module, folder: Path) -> None:
        self.bytes = 0  # of them in all
        self._files: list[mmap.mmap] = []
        parameters = {name: p for name, p in model.named_parameters() if p.device.type == "cpu"}
        for path in sorted(folder.glob("*.safetensors")):
            with path.open("rb") as file:
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._files.append(memory)
            for name, stored in stored_tensors(path).items():
                parameter = parameters.get(name)
                if parameter is not None and (parameter.shape, parameter.dtype) == (stored.shape, stored.dtype):
                    parameter.data = _view(memory, stored)
                    self.bytes += parameter.nbytes

    def release(self) -> None:
        """Give the memory back. What is used next is read again."""
        for memory in self._files:
            memory.madvise(mmap.MADV_DONTNEED)


def _view(memory: mmap.mmap, stored: StoredTensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it can't be written to, and nobody does
        flat = torch.frombuffer(memory, dtype=stored.dtype, count=math.prod(stored.shape), offset=stored.offset)
    return flat.view(stored.shape)
