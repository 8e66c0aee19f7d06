"""What a report of a run says, section by section, before it is Markdown or HTML.

Everything here is text as it is: a claim, a prompt or a name may hold Markdown, HTML or a formula, and who writes a
format escapes it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lab.hypothesis import HypothesisBody
from lab.in_words import CONTROLS, METRICS, decided_beforehand, dose, what_effect, what_kind
from lab.prompts import Prompt
from lab.runs.bodies import RunBody
from lab.runs.keeping import Kept
from lab.runs.result import Result
from lab.runs.words import measured, missing, number, statistics, why_excluded

NOTHING = "–"
NOT_SHOWN = (
    "A verdict holds for these prompts, this edit and this model, under this protocol. It does not say that the circuit"
    " is the only one that does this, nor what another wording, another model or another edit would give."
)


@dataclass(frozen=True)
class Quote:
    """What a person wrote, in as many lines."""

    text: str


@dataclass(frozen=True)
class Bullets:
    lines: list[str]


@dataclass(frozen=True)
class Table:
    """The first `texts` columns are words, and stand to the left; the others are figures."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    texts: int = 1


Part = str | Quote | Bullets | Table
Parts = list[Part]


@dataclass(frozen=True)
class Section:
    key: str  # which chart belongs to it
    heading: str
    parts: Parts


def sections(run: RunBody, started: datetime, kept: Kept, found: Result) -> list[Section]:
    """`found`: what `lab.runs.conclude.result` makes of `kept`. Sections without anything to say are left out."""
    body = run.body
    made = [
        Section("verdict", "Verdict", verdict_lines(found)),
        Section("threats", "What speaks against it", _threats(found)),
        Section("claim", "The claim", _claim(run, body, found)),
        Section("controls", "The effect against its controls", _controls(found)),
        Section("prompts", "Prompt by prompt", [*_prompts(body, kept, found)]),
        Section("doses", "More of the edit", _doses(body, found)),
        Section("predicted", "Foretold by the graphs, and measured", _predicted(found)),
        Section("supernodes", "Other supernodes", _supernodes(found)),
        Section("off_target", "Where the edit should do little", _off_target(body, kept)),
        Section("statistics", "All statistics", _statistics(body, found)),
        Section("method", "What was done", [*_method(run, body, found)]),
        Section("made", "With what it was made", _made(run, started)),
        Section("limits", "What this does not show", [NOT_SHOWN]),
    ]
    return [section for section in made if section.parts]


def verdict_lines(found: Result) -> Parts:
    """In one sentence, and whether it was decided by what was frozen before."""
    if found.verdict is None:
        said = f"{found.finished} of {found.total} prompts are finished. Nothing is decided before the last one is."
    else:
        said = found.verdict.sentence
    return [said, marked(found)]


def marked(found: Result) -> str:
    if found.exploratory is None:
        return "Confirmatory: the hypothesis was frozen before it ran."
    return f"Exploratory: {found.exploratory}."


def _threats(found: Result) -> Parts:
    if found.verdict is None:
        return []
    if not found.verdict.threats:
        return ["Nothing that was looked at speaks against this run."]
    return [Bullets(list(found.verdict.threats))]


def _claim(run: RunBody, body: HypothesisBody, found: Result) -> Parts:
    freeze = run.hypothesis.freeze
    facts = [f"Kind: {what_kind(body)}", f"SHA-256: {found.hash}"]
    if freeze is not None:
        facts.insert(
            1, f"Record {freeze.record}, version {freeze.version}, frozen {moment(freeze.time)} by {freeze.by}"
        )
        if freeze.previous is not None:
            facts.append(f"It changes the version with SHA-256 {freeze.previous}")
    notes = [Quote(body.notes)] if body.notes else []
    return [Quote(body.claim), *notes, Bullets(facts)]


def _controls(found: Result) -> Parts:
    if found.findings is None or not found.findings.controls:
        return []
    rows = [
        (
            CONTROLS[against.kind].name,
            f"{against.sets} of {against.wanted}",
            number(against.effect),
            number(sum(against.means) / len(against.means)),
            f"{number(min(against.means))} to {number(max(against.means))}",
            str(against.as_much),
            f"{against.p:.2g}",
            f"{number(against.ratio)} ×",
        )
        for against in found.findings.controls
    ]
    columns = ("controls", "sets", "effect", "controls' mean", "their range", "did as much", "p", "own size to edit's")
    short = [against.short for against in found.findings.controls if against.short is not None]
    said = f"Means over units, in {found.unit}. The first kind decides."
    return [Table(columns, rows), said, *(f"{reason}." for reason in short)]


def _prompts(body: HypothesisBody, kept: Kept, found: Result) -> Iterator[Part]:
    if not found.prompts:
        return
    families = body.prompts[0].family is not None
    controls = any(line.controls is not None for line in found.prompts)
    donors = any(line.donor is not None for line in found.prompts)
    rows, left_out = [], []
    for line in found.prompts:
        name, prompt = f"{line.number}. {line.text}", body.prompts[line.number - 1]
        beside = [*([line.controls] if controls else []), *([line.donor] if donors else [])]
        figures = (line.baseline, line.effect, *beside, line.kl)
        rows.append((name, *([line.unit] if families else []), _tokens(prompt), *map(_figure, figures)))
        if line.excluded:
            left_out.append(f"{name}: left out, {why_excluded(body, kept.prompts[f'test {line.number}'])}")
    unit = found.unit
    columns = ("prompt", *(["family"] if families else []), "target, competitor")
    what = measured(body)
    more = [*([f"controls' mean, {unit}"] if controls else []), *([f"on the donor, {unit}"] if donors else [])]
    figure_names = (f"without, {unit}", f"{what}, {unit}", *more, "KL, nats")
    yield Table((*columns, *figure_names), rows, texts=len(columns))
    said = f"{what[:1].upper()}{what[1:]}: {what_effect(body)}"
    yield f"The metric is the {METRICS[body.metric].what}. {said}. KL: of the next token."
    if left_out:
        yield Bullets(left_out)


def _doses(body: HypothesisBody, found: Result) -> Parts:
    lines = [line for line in found.prompts if line.doses]
    if len(body.intervention.doses) < 2 or not lines:
        return []
    axis = () if found.findings is None else found.findings.doses
    rows = [
        (
            dose(body, n),
            number(axis[n]) if axis else NOTHING,
            number(sum(line.doses[n] for line in lines) / len(lines)),
        )
        for n in range(len(body.intervention.doses))
    ]
    said = "Dose 1 is the one that decides, 0 is no edit, below 0 the edit is turned round. Means over prompts."
    return [Table(("set to", "dose", f"mean effect, {found.unit}"), rows), said]


def _predicted(found: Result) -> Parts:
    rows = [
        (f"{line.number}. {line.text}", number(line.predicted), _figure(line.doses[0] if line.doses else None))
        for line in found.prompts
        if line.predicted is not None
    ]
    return [Table(("prompt", f"foretold, {found.unit}", f"measured, {found.unit}"), rows)] if rows else []


def _supernodes(found: Result) -> Parts:
    rows = []
    for n, name in enumerate(found.watched):
        pairs = [line.supernodes[n] for line in found.prompts if len(line.supernodes) > n]
        if pairs:
            before, after = (sum(pair[at] for pair in pairs) / len(pairs) for at in (0, 1))
            share = f"{100 * after / before:.0f} %" if before else NOTHING
            rows.append((name, number(before), number(after), share))
    columns = ("supernode", "without the edit", "with it", "of without")
    said = "Sums of activations, means over prompts. None of their features is set by the edit."
    return [Table(columns, rows), said] if rows else []


def _off_target(body: HypothesisBody, kept: Kept) -> Parts:
    rows = [
        (f"{n}. {prompt.text}", number(figures.doses[0].kl))
        for n, prompt in enumerate(body.off_target, start=1)
        if (figures := kept.prompts.get(f"off-target {n}")) is not None
    ]
    return [Table(("prompt", "KL, nats"), rows)] if rows else []


def _statistics(body: HypothesisBody, found: Result) -> Parts:
    rows = [(line.name, line.value, line.help) for line in statistics(body, found)]
    rows += [(name, NOTHING, f"Not computed: {why}.") for name, why in missing(found)]
    return [Table(("statistic", "value", "what it is"), rows, texts=3)] if rows else []


def _method(run: RunBody, body: HypothesisBody, found: Result) -> Iterator[Part]:
    told = decided_beforehand(body)
    told["Decided by"] += _if_not_corrected(body, found)
    told["Controls ran"] = f"at {'all doses' if run.full_grid else 'the primary dose'}"
    yield Bullets([f"{name}: {text}" for name, text in told.items()])
    rows = [(s.name, f"L{node.layer} · {node.feature}", str(node.at)) for s in body.supernodes() for node in s.nodes]
    yield Table(("supernode", "feature", "at"), rows, texts=3)
    if seen := body.prompts_for("discovery"):
        yield "Discovery prompts, on which nothing was measured:"
        yield Bullets([prompt.text for prompt in seen])


def _if_not_corrected(body: HypothesisBody, found: Result) -> str:
    if body.notebook is None or body.correction == "none":
        return ""
    if found.findings is None or found.findings.corrected is not None:
        return ""
    return " (not corrected: no other claim of it was counted)"


def _made(run: RunBody, started: datetime) -> Parts:
    made, body = run.made_with, run.body
    rows = [
        ("begun", moment(started)),
        ("model", f"{body.model}, fingerprint {made.model_fingerprint}"),
        ("features", f"{body.features}, fingerprint {made.basis_fingerprint}"),
        ("engine", made.engine),
        ("device", f"{made.device}, {made.dtype}"),
        ("machine", run.machine),
        *sorted(made.versions.items()),
    ]
    return [Table(("what", "which"), rows, texts=2)]


def moment(time: datetime) -> str:
    return f"{time.astimezone(UTC):%d %B %Y, %H:%M:%S} UTC"


def _tokens(prompt: Prompt) -> str:
    """A space before a token is part of it, and shown."""
    named = [token for token in (prompt.target, prompt.competitor) if token is not None]
    return ", ".join(token.replace(" ", "␣") for token in named) or NOTHING


def _figure(value: float | None) -> str:
    return NOTHING if value is None else number(value)
