"""Run a corpus once through the model and keep, for every feature of its basis, what `Tally` keeps.

The basis is read as in a trace, in the real model: neurons at the input of the down projection, transcoders at the
points where they were trained. Saved now and then, so that a build that was stopped goes on where it was. What is kept
does not depend on how many contexts pass at once, up to rounding.
"""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import psutil
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tracer.dashboards.corpus import fingerprint
from tracer.dashboards.store import META, read_meta
from tracer.dashboards.tally import BYTES_A_FEATURE, Tally
from tracer.errors import Progress, TracerError, first_line, silent
from tracer.features.basis import Basis
from tracer.features.points import watch_input
from tracer.features.transcoders import TranscoderBasis
from tracer.memory import in_memory
from tracer.model.forward import hooked
from tracer.replacement import ReplacementModel

BATCH_BYTES = 1 << 28  # of activations that are dense at one time
MOST_CONTEXTS = 4  # in a batch: a trace that comes waits for its end
SAVE_EVERY = 40  # batches
SEED = 0
VERSION = 2

Found: TypeAlias = Tensor | tuple[Tensor, Tensor, Tensor]
"""A layer's activations in a pass of (C, T) tokens: all, (C, T, F); or of those not 0 token (C·T), feature, value."""


class _Enough(Exception):
    """The last layer has been read."""


@in_memory
@torch.no_grad()
def build(model: ReplacementModel, rows: Tensor, folder: Path, progress: Progress = silent) -> None:
    """`rows` (n, T) token ids, as `corpus.contexts` makes them. `folder` is filled; `progress("dashboards", share)`.

    Takes BYTES_A_FEATURE of memory for each feature of all layers (52 MB for gemma-3-270m's neurons), and twice that on
    the disk. Raises TracerError where there is less or the folder can't be written, and whatever `progress` raises:
    what is done is then saved, and the next build goes on from there.
    """
    meta: dict[str, Any] = {
        "version": VERSION,
        "model": model.model_fingerprint,
        "basis": model.basis_fingerprint,
        "corpus": fingerprint(rows),
        "contexts": len(rows),
        "skipped": len(model.excluded_positions(rows[0].tolist())),  # tokens of each context that don't count
    }
    n_features, n_layers = model.basis.n_features, model.n_layers
    _check_room(folder, BYTES_A_FEATURE * n_features * n_layers)
    at_once = contexts_at_once(model, rows.shape[1])
    done, tallies = _resume(folder, meta, n_features, n_layers)
    saved = done

    def save() -> None:
        _save(folder, meta | {"done": done}, tallies, rows)

    while done < len(rows):
        try:
            progress("dashboards", done / len(rows))
        except BaseException:  # told to stop
            if done > saved:
                save()
            raise
        batch = rows[done : done + at_once]
        draws = _draws(range(done, done + len(batch)), n_layers, n_features)
        for layer, found in enumerate(_pass(model, batch)):
            tallies[layer].add(_dense(found, batch, n_features), done, meta["skipped"], draws[layer])
        done += len(batch)
        if done - saved >= SAVE_EVERY * at_once or done == len(rows):
            save()
            saved = done
    progress("dashboards", 1.0)


def contexts_at_once(model: ReplacementModel, n_tokens: int) -> int:
    """Of a transcoder one layer is dense at a time; of neurons all layers are."""
    layers = 1 if isinstance(model.basis, TranscoderBasis) else model.n_layers
    return max(1, min(MOST_CONTEXTS, BATCH_BYTES // (4 * n_tokens * model.basis.n_features * layers)))


def _check_room(folder: Path, size: int) -> None:
    """Raises TracerError where `size` bytes don't fit into memory, or twice that on the disk."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    own = sum(path.stat().st_size for path in folder.glob("state-*/*"))
    memory, disk = psutil.virtual_memory().available, shutil.disk_usage(there).free + own
    if size > 0.8 * memory or 2 * size > disk:
        raise TracerError(
            f"what these features fire on takes {size / 1e9:.1f} GB of memory ({memory / 1e9:.1f} GB are free) and"
            f" {2 * size / 1e9:.1f} GB of disk ({disk / 1e9:.1f} GB): make room, or choose a set with fewer features"
        )


def _draws(contexts: range, n_layers: int, n_features: int) -> Tensor:
    """(L, C, F), of [0, 1): a context's are the same whichever others are in its batch."""
    return torch.stack(
        [torch.rand(n_layers, n_features, generator=torch.Generator().manual_seed(SEED + c)) for c in contexts], 1
    )


def _pass(model: ReplacementModel, batch: Tensor) -> list[Found]:
    """One forward pass up to where the last layer is read, on the CPU. `batch` (C, T)."""
    anatomy, basis = model.anatomy, model.basis
    found: list[Found] = []

    def watcher(layer: int) -> Callable[[Tensor], None]:
        def watch(inputs: Tensor) -> None:
            found.append(_activations(basis, layer, inputs.float()))
            if layer == len(anatomy.layers) - 1:  # what comes after, the unembedding above all, is not needed
                raise _Enough

        return watch

    with anatomy.lock:
        with suppress(_Enough), hooked(anatomy) as hooks:
            for index, layer in enumerate(anatomy.layers):
                watch_input(hooks, anatomy, layer, basis.reads_at, watcher(index), whole=True)
            anatomy.model(input_ids=batch.to(anatomy.device), use_cache=False, logits_to_keep=1)
        anatomy.release()
    return found


def _activations(basis: Basis, layer: int, inputs: Tensor) -> Found:
    """Of what is at the basis' read point, (C, T, …): of neurons these are the activations themselves."""
    if not isinstance(basis, TranscoderBasis):
        return inputs.cpu()
    token, feature, value = (x.cpu() for x in basis.active_at(layer, inputs.flatten(0, 1)))
    return token, feature, value


def _dense(found: Found, batch: Tensor, n_features: int) -> Tensor:
    """(C, T, F)"""
    if isinstance(found, Tensor):
        return found
    token, feature, value = found
    dense = torch.zeros(batch.numel(), n_features)
    dense[token, feature] = value
    return dense.unflatten(0, batch.shape)


def _resume(folder: Path, meta: dict, n_features: int, n_layers: int) -> tuple[int, list[Tally]]:
    """How many contexts are done, and their tallies; from the start where the folder holds anything else."""
    before = read_meta(folder)
    if before is not None and {name: before.get(name) for name in meta} == meta:
        try:
            state = [load_file(folder / before["state"] / f"{layer}.safetensors") for layer in range(n_layers)]
            return before["done"], [Tally(n_features, tensors) for tensors in state]
        except (OSError, SafetensorError):
            pass  # spoiled: it can be made again
    return 0, [Tally(n_features) for _ in range(n_layers)]


def _save(folder: Path, meta: dict, tallies: list[Tally], rows: Tensor) -> None:
    """Into a folder of its own, which `meta.json` then names: a kill at any moment leaves a whole state behind."""
    state = f"state-{meta['done']}"
    try:
        shutil.rmtree(folder / state, ignore_errors=True)
        (folder / state).mkdir(parents=True)
        save_file({"rows": rows.int()}, folder / state / "corpus.safetensors")
        for layer, tally in enumerate(tallies):
            save_file(
                {name: x.contiguous() for name, x in tally.state.items()}, folder / state / f"{layer}.safetensors"
            )
        temporary = folder / f"{META}.new"
        temporary.write_text(json.dumps(meta | {"state": state}))
        os.replace(temporary, folder / META)
        for old in folder.glob("state-*"):
            if old.name != state:
                shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as problem:
        raise TracerError(f"can't write dashboards to {folder} ({first_line(problem)}): make room there") from problem
