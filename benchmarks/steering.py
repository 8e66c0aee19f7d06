"""How fast edits run: many controls side by side against one by one, one edit against a plain pass, text against
plain `generate`.

    python benchmarks/steering.py            a few minutes
    python benchmarks/steering.py --quick    two controls, a few tokens: does the script run?

All ratios are within one run, and what is compared takes turns. "One by one" is what a plain loop does: a forward pass
of the real model for each control, with a hook that adds the same write (logits are compared). The fixed part: the
model, the prompt, the edit (layer 13, last position), the controls and the seed. The worst place (layer 0, position 1,
where next to nothing is shared) is printed too.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, from wherever this is started

import torch
from torch import Tensor

import tracer
from benchmarks.measure import PeakMemory, print_machine, table, title
from tracer import Edit, ReplacementModel
from tracer.steering.controls import matched
from tracer.steering.generate import Token

PROMPT, SEED = "Michael Jordan plays the sport of", 0
EDIT, WORST = Edit(13, -1, 1012, factor=-1), Edit(0, 1, 100, factor=-1)
CONTROLS, QUICK_CONTROLS = 200, 2
TOKENS, QUICK_TOKENS = 64, 4
TURNS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure steering.")
    parser.add_argument("--model", default="gemma-3-270m", help="preset, folder or Hub id")
    parser.add_argument("--store", type=Path, help="folder of converted weights (default: the tracer's own)")
    parser.add_argument("--quick", action="store_true", help="little of everything")
    arguments = parser.parse_args()
    model = tracer.load(arguments.model, store=arguments.store)
    print_machine(arguments.model)
    edit, worst = within(EDIT, model), within(WORST, model)
    n, repeats = (QUICK_CONTROLS, 1) if arguments.quick else (CONTROLS, TURNS)
    for which, bar in ((edit, " (wanted: 8)"), (worst, "")):
        print_controls(model, which, n, max(1, repeats // 2), bar)
    print_one(model, (edit, worst), repeats)
    print_text(model, edit, QUICK_TOKENS if arguments.quick else TOKENS, repeats)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


def within(edit: Edit, model: ReplacementModel) -> Edit:
    """The edit itself, or one that a smaller model has."""
    layer, feature = min(edit.layer, model.n_layers - 1), edit.feature % model.basis.n_features
    return replace(edit, layer=layer, feature=feature)


def print_controls(model: ReplacementModel, edit: Edit, n: int, repeats: int, bar: str) -> None:
    ids = model.token_ids(PROMPT)
    title(f"{n} matched controls of an edit at layer {edit.layer}, position {edit.position} of {len(ids)} tokens")
    directions = matched(model, [ids], [edit], "directions", n=n, seed=SEED)
    conditions = [control.prompts[0] for control in directions.sets]
    writes = [_write(model, ids, edits) for edits in conditions]
    batched, single = [], []
    with PeakMemory() as memory:
        for _ in range(repeats):
            batched.append(_seconds(lambda: [s.logits for s in model.steer_many(tokens=ids, conditions=conditions)]))
            single.append(_seconds(lambda: [plain(model, ids, *write) for write in writes]))
    gap = max(
        float((steered.logits - plain(model, ids, *write)).abs().max())
        for steered, write in zip(
            model.steer_many(tokens=ids, conditions=conditions[:4], protocol="free"), writes[:4], strict=True
        )
    )
    table("", "seconds", "ms each")
    for name, seconds in (("one by one", min(single)), ("together", min(batched))):
        table(name, f"{seconds:.2f}", f"{1000 * seconds / n:.1f}")
    print(f"{min(single) / min(batched):.1f} times as fast{bar}; logits of `free` agree to {gap:.1e}")
    print(f"{(memory.peak - memory.loaded) / 1e6:,.0f} MB more than the loaded model at the peak")


def _write(model: ReplacementModel, ids: list[int], edits: list) -> tuple[int, int, Tensor]:
    """Layer, position and the vector that a control of one push adds."""
    (push,) = edits
    vector = torch.randn(model.anatomy.d_model, generator=torch.Generator().manual_seed(push.seed))
    return push.layer, push.position, vector * (push.norm / vector.norm())


@torch.no_grad()
def plain(
    model: ReplacementModel, ids: list[int], layer: int | None = None, position: int = 0, vector: Tensor | None = None
) -> Tensor:
    """(V,): a forward pass of the model itself, with a vector added at an MLP's output if one is given."""

    def added(_module: object, _inputs: tuple, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, position] += vector
        return output

    handle = None if layer is None else model.anatomy.layers[layer].mlp.register_forward_hook(added)
    out = model.anatomy.model(torch.tensor([ids]), use_cache=False, logits_to_keep=1).logits[0, -1]
    if handle is not None:
        handle.remove()
    return out


def print_one(model: ReplacementModel, edits: tuple[Edit, ...], repeats: int) -> None:
    ids = model.token_ids(PROMPT)
    title("One edit, its run without edits included, against one plain pass")
    table("", "plain, ms", "edit, ms", "ratio")
    for edit in edits:
        for protocol in ("clamp", "free"):
            bare, steered = _turns(
                lambda: plain(model, ids),
                lambda edit=edit, protocol=protocol: model.steer(tokens=ids, edits=[edit], protocol=protocol),
                4 * repeats,
            )
            name = f"{edit.layer},{edit.position} {protocol}"
            table(name, f"{1000 * bare:.0f}", f"{1000 * steered:.0f}", f"{steered / bare:.2f}")
    print("wanted: at most 1.3 at layer 13, last position")


def print_text(model: ReplacementModel, edit: Edit, n: int, repeats: int) -> None:
    ids = model.token_ids(PROMPT)
    title(f"{n} tokens of text, greedy, against plain generate without stop tokens")
    inner = model.anatomy.model
    prompt = torch.tensor([ids])

    @torch.no_grad()
    def own() -> None:
        inner.generate(
            prompt, max_new_tokens=n, min_new_tokens=n, do_sample=False, attention_mask=torch.ones_like(prompt)
        )

    def steered(edits: list[list[Edit]]) -> Callable[[], list[Token]]:
        return lambda: list(model.generate(tokens=ids, conditions=edits, n_tokens=n))

    everywhere = replace(edit, position=slice(-1, None))
    table("", "tokens/s", "of plain")
    for name, conditions in (
        ("no edits", [[]]),
        ("one edit", [[everywhere]]),
        ("4 side by side", [[], *[[everywhere]] * 3]),
    ):
        work = steered(conditions)
        count = len(work())  # a stop token would end it earlier
        bare, seconds = _turns(own, work, repeats)
        rate = count / seconds
        table(name, f"{rate:.1f}", f"{rate * bare / n:.2f}")
    print("wanted: at least 0.8")


def _turns(one: Callable[[], object], other: Callable[[], object], n: int) -> tuple[float, float]:
    """The fastest of each, in turns."""
    pairs = [(_seconds(one), _seconds(other)) for _ in range(n)]
    return min(a for a, _ in pairs), min(b for _, b in pairs)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
