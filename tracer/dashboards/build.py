"""Run a corpus once through the model and keep, for every feature of its basis, what `Tally` keeps.

The basis is read as in a trace, in the real model: neurons at the input of the down projection, transcoders at the
points where they were trained. Saved now and then, so that a build that was stopped goes on where it was.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tracer.dashboards.corpus import fingerprint
from tracer.dashboards.store import META, read_meta
from tracer.dashboards.tally import Tally
from tracer.errors import Progress, TracerError, first_line, silent
from tracer.features.basis import Basis
from tracer.features.points import watch_input
from tracer.features.transcoders import TranscoderBasis
from tracer.model.forward import hooked
from tracer.replacement import ReplacementModel

BATCH_BYTES = 1 << 28  # of all layers' activations
MOST_CONTEXTS = 4  # in a batch: a trace that comes waits for its end
SAVE_EVERY = 40  # batches
SEED = 0
VERSION = 1


@torch.no_grad()
def build(model: ReplacementModel, rows: Tensor, folder: Path, progress: Progress = silent) -> None:
    """`rows` (n, T) token ids, as `corpus.contexts` makes them. `folder` is filled; `progress("dashboards", share)`.

    Raises TracerError where the folder can't be written, and whatever `progress` raises: what is done is then saved,
    and the next build goes on from there.
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
    at_once = max(1, min(MOST_CONTEXTS, BATCH_BYTES // (4 * rows.shape[1] * n_features * n_layers)))
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
        generator = torch.Generator().manual_seed(SEED + done)
        for layer, values in enumerate(_pass(model, batch)):
            tallies[layer].add(values, done, meta["skipped"], generator)
        done += len(batch)
        if done - saved >= SAVE_EVERY * at_once or done == len(rows):
            save()
            saved = done
    progress("dashboards", 1.0)


def _pass(model: ReplacementModel, batch: Tensor) -> list[Tensor]:
    """One forward pass: each layer's activations (C, T, F), on the CPU."""
    anatomy, basis = model.anatomy, model.basis
    found: list[Tensor] = []

    def watcher(layer: int) -> Callable[[Tensor], None]:
        return lambda inputs: found.append(_activations(basis, layer, inputs.float()).cpu())

    with anatomy.lock, hooked(anatomy) as hooks:
        for index, layer in enumerate(anatomy.layers):
            watch_input(hooks, anatomy, layer, basis.reads_at, watcher(index), whole=True)
        anatomy.model(input_ids=batch.to(anatomy.device), use_cache=False, logits_to_keep=1)
    return found


def _activations(basis: Basis, layer: int, inputs: Tensor) -> Tensor:
    """(C, T, F) of what is at the basis' read point: of neurons these are the activations themselves."""
    if not isinstance(basis, TranscoderBasis):
        return inputs
    flat = inputs.flatten(0, 1)
    position, feature, value = basis.active_at(layer, flat)
    dense = flat.new_zeros(len(flat), basis.n_features)
    dense[position, feature] = value
    return dense.unflatten(0, inputs.shape[:2])


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
