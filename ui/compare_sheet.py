"""A comparison as plain figures and texts: what the page draws and the files hold. Keeps no model alive."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tracer import ReplacementModel, Sampling
from tracer.presets import licence_of, notice_of
from tracer.steering.compare import Compared, differing
from ui.compare_cases import Ready, token_name
from ui.compare_tokens import Row, aligned, differing_words, vocabularies

TOP = 8
SLIGHT = 0.1  # nats: a smaller change of a log-probability is not marked

KL_HELP = (
    "KL(column 1 ‖ this column) = Σ p ln(p / q) over the whole vocabulary, in nats: of the distributions of the token"
    " that comes at a place of column 1's text, each after its own prompt, under its own edits, and after the same"
    " words of column 1. 0: both expect the same. It is not symmetric."
)
PERPLEXITY_HELP = "exp(−mean log-probability) of this column's text, at temperature 1. Lower: less surprising."
FOREIGN = (
    "its model cuts texts into other tokens than column 1's. So there is no KL and no log-probability under column 1;"
    " its next tokens are aligned by their text (–: it has no such token), its text word by word; a perplexity a token"
    " is not on column 1's scale."
)


@dataclass(frozen=True)
class Word:
    """A token of a column's text."""

    token: str  # with spaces and line breaks made visible
    text: str  # as it is
    logprob: float
    first: float | None  # under column 1
    alternatives: tuple[tuple[str, float], ...]
    differs: bool  # from column 1's text

    @property
    def change(self) -> float | None:
        return None if self.first is None else self.logprob - self.first

    @property
    def sign(self) -> int:
        """Of a change that is worth marking."""
        change = self.change or 0.0
        return 0 if abs(change) < SLIGHT else 1 if change > 0 else -1


@dataclass(frozen=True)
class Next:
    """One token as the first after a column's prompt."""

    probability: float
    demeaned: float  # logit before any softcap less the mean of all
    rank: int


@dataclass(frozen=True)
class Shown:
    """A column."""

    name: str
    about: str
    on: str  # model and features
    terms: str  # of the model: they go along with what it says
    foreign: bool  # its vocabulary is another than column 1's
    prompt: str
    prompt_tokens: int
    words: tuple[Word, ...]
    next: tuple[Next | None, ...]  # of the tokens followed, as the sheet has them; None: it has no such token
    kl: tuple[float, ...] | None
    kl_next: float | None
    perplexity: float
    perplexity_first: float | None

    def probability(self, token: int) -> float:
        """Of a token followed; 0 where it has no such token."""
        own = self.next[token]
        return 0.0 if own is None else own.probability


@dataclass(frozen=True)
class Sheet:
    columns: tuple[Shown, ...]
    tokens: tuple[str, ...]  # the likeliest next ones of all columns, column 1's first
    n_tokens: int
    sampling: Sampling

    @property
    def how(self) -> str:
        heat = self.sampling.temperature
        drawn = f"temperature {heat:g}, seed {self.sampling.seed}" if heat else "always the likeliest token"
        every = [column.on for column in self.columns]
        on = every[0] if not self.several else "; ".join(f"column {i}: {on}" for i, on in enumerate(every, start=1))
        return f"{on}; up to {self.n_tokens} tokens, {drawn}"

    @property
    def several(self) -> bool:
        """Are there several models, or feature sets?"""
        return len({column.on for column in self.columns}) > 1

    @property
    def terms(self) -> list[str]:
        """A line a model."""
        return list(dict.fromkeys(f"Model {column.on}: {column.terms}" for column in self.columns))

    @property
    def limits(self) -> list[str]:
        """What can't be compared, a line a column."""
        return [f"Column {i}: {FOREIGN}" for i, column in enumerate(self.columns, start=1) if column.foreign]


def sheet(columns: Sequence[Ready], compared: Sequence[Compared], n_tokens: int, sampling: Sampling) -> Sheet:
    models = [column.case.model for column in columns]
    groups = vocabularies(models)
    rows = aligned(
        models, groups, [found.logits.topk(min(TOP, len(found.logits))).indices.tolist() for found in compared]
    )
    texts = [[model.token_text(said.id) for said in found.said] for model, found in zip(models, compared, strict=True)]
    shown = []
    for at, (column, found, model) in enumerate(zip(columns, compared, models, strict=True)):
        probabilities, foreign = found.probabilities, groups[at] != groups[0]
        differs = (differing_words if foreign else differing)(texts[0], texts[at])
        words = tuple(
            Word(
                token=token_name(model, said.id),
                text=words,
                logprob=said.logprob,
                first=said.first,
                alternatives=tuple((token_name(model, id), p) for id, p in said.alternatives),
                differs=other,
            )
            for said, words, other in zip(found.said, texts[at], differs, strict=True)
        )
        ids = [row[at] for row in rows]
        meta = {"model": model.name, "features": model.basis.name}
        shown.append(
            Shown(
                name=column.name,
                about=column.about,
                on=f"{model.name}, {model.basis.name}",
                terms=f"{licence_of(meta) or 'terms unknown'}. {notice_of(meta) or ''}".strip(),
                foreign=foreign,
                prompt=column.prompt,
                prompt_tokens=len(column.case.tokens),
                words=words,
                next=tuple(
                    None if id is None else Next(float(probabilities[id]), found.demeaned(id), found.rank(id))
                    for id in ids
                ),
                kl=found.kl,
                kl_next=found.kl_next,
                perplexity=found.perplexity,
                perplexity_first=found.perplexity_first,
            )
        )
    return Sheet(tuple(shown), _names(models, rows), n_tokens, sampling)


def heading(sheet: Sheet, at: int) -> str:
    return f"{at + 1} · {sheet.columns[at].name}"


def metrics(sheet: Sheet, follow: int) -> pd.DataFrame:
    """A row a column, of the token that is followed and of the texts. `follow`: its place in `sheet.tokens`."""
    rows = []
    first = sheet.columns[0].next[follow]
    for at, column in enumerate(sheet.columns):
        own = column.next[follow]
        rows.append(
            {
                "column": heading(sheet, at),
                "probability": None if own is None else own.probability,
                "rank": None if own is None else own.rank,
                "logit": None if own is None else own.demeaned,
                "Δ logit": own.demeaned - first.demeaned if own and first and not column.foreign else None,
                "KL next": column.kl_next,
                "KL mean": None if column.kl is None else sum(column.kl) / len(column.kl),
                "perplexity": column.perplexity,
                "under column 1": column.perplexity_first,
                "prompt tokens": column.prompt_tokens,
            }
        )
    table = pd.DataFrame(rows)
    return table.astype({"rank": "Int64", "probability": float, "logit": float, "Δ logit": float})


def words_table(sheet: Sheet) -> pd.DataFrame:
    """A row a token of a text, for a file."""
    return pd.DataFrame(
        [
            {
                "column": at + 1,
                "condition": column.name,
                "edits": column.about,
                "prompt": column.prompt,
                "place": place,
                "label": word.token,
                "differs": word.differs,
                "logprob": word.logprob,
                "logprob_column_1": word.first,
                "change": word.change,
                "kl_at_place_of_column_1": column.kl[place] if column.kl and place < len(column.kl) else None,
                "alternatives": "; ".join(f"{name} {p:.4f}" for name, p in word.alternatives),
                "not_comparable": FOREIGN if column.foreign else "",
                "model": column.on,
                "terms": column.terms,
                "temperature": sheet.sampling.temperature,
                "seed": sheet.sampling.seed,
            }
            for at, column in enumerate(sheet.columns)
            for place, word in enumerate(column.words)
        ]
    )


def _names(models: Sequence[ReplacementModel], rows: Sequence[Row]) -> tuple[str, ...]:
    """Of each row by the first column that has the token; those that look the same get their ids beside them."""
    own = [next((model, id) for model, id in zip(models, row, strict=True) if id is not None) for row in rows]
    every = [token_name(model, id) for model, id in own]
    return tuple(name if every.count(name) == 1 else f"{name} {id}" for name, (_, id) in zip(every, own, strict=True))
