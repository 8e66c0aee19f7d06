"""What `steer` prints: one JSON object, or lines for people made from it."""

from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from tracer import ReplacementModel
from tracer.steering.controls import Controls, share
from tracer.steering.steered import Steered


@dataclass(frozen=True)
class Compared:
    """Controls and what each changed one token's demeaned logit by."""

    controls: Controls
    seed: int
    target: int
    deltas: list[float]


def describe(steered: Steered, model: ReplacementModel, prompt: str | None) -> dict[str, Any]:
    before, after, delta = steered.baseline_probabilities, steered.probabilities, steered.delta
    return {
        "prompt": model.prompt_text(steered.token_ids) if prompt is None else prompt,
        "tokens": [model.token_text(i) for i in steered.token_ids],
        "token_ids": steered.token_ids,
        "model": model.name,
        "features": model.basis.name,
        "protocol": steered.protocol,
        "layers": steered.layers,
        "edits": [asdict(edit) for edit in steered.edits],
        "targets": [
            {
                "token": model.token_text(id),
                "id": id,
                "probability_before": float(before[id]),
                "probability_after": float(after[id]),
                "delta_logit": float(delta[id]),
            }
            for id in steered.top()
        ],
        "kl": steered.kl,
    }


def describe_controls(compared: Compared, steered: Steered, model: ReplacementModel) -> dict[str, Any]:
    controls, effect = compared.controls, float(steered.delta[compared.target])
    as_much, part = share(effect, compared.deltas)
    return {
        "kind": controls.kind,
        "seed": compared.seed,
        "n": len(controls.sets),
        "target": {"token": model.token_text(compared.target), "id": compared.target, "delta_logit": effect},
        "delta_logit": compared.deltas,
        "ratio": [control.ratio for control in controls.sets],
        "worst_ratio": [control.worst for control in controls.sets],
        "at_least_as_much": as_much,
        "share": part,
        "short": controls.short,
    }


def report(result: dict[str, Any]) -> str:
    held = result["protocol"] + ("" if result["layers"] is None else " {}:{}".format(*result["layers"]))
    lines = [f"{result['model']}, {result['features']}: {' '.join(repr(t) for t in result['tokens'])}", "", held]
    for edit in result["edits"]:
        lines.append(
            f"  layer {edit['layer']:>2}  feature {edit['feature']:>6}  at {result['tokens'][edit['position']]!r:16}"
            f" {edit['before']:>9.2f} → {edit['value']:.2f}" + ("" if edit["writes"] else "  writes nothing here")
        )
    for edit in result.get("generation", {}).get("edits", []):
        skipped = edit["start"] - len(result["tokens"])
        where = "generated tokens" + (f" after the first {skipped}" if skipped > 0 else "")
        lines.append(f"  layer {edit['layer']:>2}  feature {edit['feature']:>6}  at {where}: {_amount(edit)}")
    lines += ["", f"{'next token':26}  before   after   logit"]
    for target in result["targets"]:
        lines.append(
            f"  {target['token']!r:24}  {target['probability_before']:6.3f}  {target['probability_after']:6.3f}"
            f"  {target['delta_logit']:+6.2f}"
        )
    lines += ["", f"KL {result['kl']:.3f} nats; logits less the mean logit, before any softcap"]
    if "controls" in result:
        lines += ["", *_controls(result["controls"])]
    if "generation" in result:
        lines += ["", f"text before  {result['text_before']!r}", f"text after   {result['text_after']!r}"]
    return "\n".join(lines)


def _amount(edit: dict[str, Any]) -> str:
    """Of an edit of generated tokens, whose own activation is known only as it runs."""
    if edit["factor"] == 0:
        return f"→ {edit['plus']:.2f}"
    return f"its own × {edit['factor']:g}" if edit["plus"] == 0 else f"its own {edit['plus']:+g}"


def _controls(controls: dict[str, Any]) -> list[str]:
    deltas, ratios, n = controls["delta_logit"], controls["ratio"], controls["n"]
    singly = controls["worst_ratio"]
    many = f"{n} controls" if n > 1 else "1 control"
    spread = f" ± {stdev(deltas):.2f}" if n > 1 else ""
    lines = [
        f"change of the logit of {controls['target']['token']!r}",
        f"  by the edits     {controls['target']['delta_logit']:+6.2f}",
        f"  by {many}  {fmean(deltas):+6.2f}{spread}, least {min(deltas):+.2f}, most {max(deltas):+.2f}"
        f"  ({controls['kind']}, seed {controls['seed']})",
        f"  at least as much, in the same direction: {controls['at_least_as_much']} of {n};"
        f" share (1 + {controls['at_least_as_much']}) / ({n} + 1) = {controls['share']:.3f}",
        f"  size of what stands in, to what is edited: {min(ratios):.2f} to {max(ratios):.2f}, of single features"
        f" {min(singly):.2f} to {max(singly):.2f}; writes are equally long",
    ]
    return lines + ([f"  {controls['short']}"] if controls["short"] else [])
