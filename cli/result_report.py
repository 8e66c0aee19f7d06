"""What `test` prints for people. Texts of a hypothesis only as Python writes them: they can't steer a terminal."""

from lab.in_words import what_effect
from lab.runs.bodies import RunBody
from lab.runs.result import Result
from lab.runs.words import missing, statistics
from lab.views import Record


def report(found: Result, run: Record[RunBody], in_lab: bool) -> str:
    """Of a run that is complete. `in_lab`: the hypothesis is a record of this lab, so its notebook is here."""
    body = run.head.body.body
    lines = [
        f"{found.title!r}: {body.kind}, run {run.id} of {found.hash[:12]}…",
        "confirmatory: frozen before it ran" if found.exploratory is None else f"exploratory: {found.exploratory}",
        "",
        f"{'prompt':44} {body.metric.replace('_', ' ')}, {found.unit}: without, effect, controls' mean",
        f"effect: {what_effect(body)}",
    ]
    for line in found.prompts:
        effects = "left out" if line.effect is None else f"{line.effect:+8.3f}"
        controls = "" if line.controls is None else f" {line.controls:+8.3f}"
        text = line.text if len(line.text) <= 38 else line.text[:37] + "…"
        lines.append(f"  {text!r:42} {line.baseline:8.3f} {effects}{controls}")
    if found.findings is not None:
        lines += ["", *(f"{line.name:36} {line.value}" for line in statistics(body, found))]
        lines += [f"{name:36} not computed: {why}" for name, why in missing(found)]
    if found.verdict is not None:
        marked = "" if found.exploratory is None else "(exploratory) "
        lines += ["", marked + found.verdict.sentence, *(f"  ! {threat}" for threat in found.verdict.threats)]
    if body.notebook is not None and body.correction != "none" and not in_lab:
        lines.append("  ! not corrected: the notebook's other claims are not here")
    return "\n".join(lines)
