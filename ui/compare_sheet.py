"""A comparison as plain figures and texts: what the page draws and the files hold. Keeps no model alive."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tracer import ReplacementModel, Sampling
from tracer.presets import licence_of, notice_of
from tracer.steering.compare import Compared, differing
from ui.compare_cases import Ready, token_name

TOP = 8
SLIGHT = 0.1  # nats: a smaller change of a log-probability is not marked

KL_HELP = (
    "KL(column 1 ‖ this column) = Σ p ln(p / q) over the whole vocabulary, in nats: of the distributions of the token"
    " that comes at a place of column 1's text, each after its own prompt, under its own edits, and after the same"
    " words of column 1. 0: both expect the same. It is not symmetric."
)
PERPLEXITY_HELP = "exp(−mean log-probability) of this column's text, at temperature 1. Lower: less surprising."


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
    prompt: str
    prompt_tokens: int
    words: tuple[Word, ...]
    next: dict[int, Next]  # of the tokens followed, by id
    kl: tuple[float, ...] | None
    kl_next: float | None
    perplexity: float
    perplexity_first: float | None


@dataclass(frozen=True)
class Sheet:
    model: str
    features: str
    terms: str  # of the model: they go along with what it says
    columns: tuple[Shown, ...]
    tokens: dict[int, str]  # the likeliest next ones of all columns, column 1's first
    n_tokens: int
    sampling: Sampling

    @property
    def how(self) -> str:
        heat = self.sampling.temperature
        drawn = f"temperature {heat:g}, seed {self.sampling.seed}" if heat else "always the likeliest token"
        return f"{self.model}, {self.features}; up to {self.n_tokens} tokens, {drawn}"


def sheet(
    model: ReplacementModel,
    columns: Sequence[Ready],
    compared: Sequence[Compared],
    n_tokens: int,
    sampling: Sampling,
) -> Sheet:
    ids = [id for found in compared for id in found.logits.topk(min(TOP, len(found.logits))).indices.tolist()]
    tokens = _told_apart({id: token_name(model, id) for id in ids})
    texts = [[model.token_text(said.id) for said in found.said] for found in compared]
    shown = []
    for column, found, text in zip(columns, compared, texts, strict=True):
        probabilities = found.probabilities
        differs = differing(texts[0], text)
        words = tuple(
            Word(
                token=token_name(model, said.id),
                text=words,
                logprob=said.logprob,
                first=said.first,
                alternatives=tuple((token_name(model, id), p) for id, p in said.alternatives),
                differs=other,
            )
            for said, words, other in zip(found.said, text, differs, strict=True)
        )
        shown.append(
            Shown(
                name=column.name,
                about=column.about,
                prompt=column.prompt,
                prompt_tokens=len(column.case.tokens),
                words=words,
                next={id: Next(float(probabilities[id]), found.demeaned(id), found.rank(id)) for id in tokens},
                kl=found.kl,
                kl_next=found.kl_next,
                perplexity=found.perplexity,
                perplexity_first=found.perplexity_first,
            )
        )
    meta = {"model": model.name, "features": model.basis.name}
    terms = f"{licence_of(meta) or 'terms unknown'}. {notice_of(meta) or ''}".strip()
    return Sheet(model.name, model.basis.name, terms, tuple(shown), tokens, n_tokens, sampling)


def heading(sheet: Sheet, at: int) -> str:
    return f"{at + 1} · {sheet.columns[at].name}"


def metrics(sheet: Sheet, follow: int) -> pd.DataFrame:
    """A row a column, of the token that is followed and of the texts."""
    rows = []
    for at, column in enumerate(sheet.columns):
        own, first = column.next[follow], sheet.columns[0].next[follow]
        rows.append(
            {
                "column": heading(sheet, at),
                "probability": own.probability,
                "rank": own.rank,
                "logit": own.demeaned,
                "Δ logit": own.demeaned - first.demeaned,
                "KL next": column.kl_next,
                "KL mean": None if column.kl is None else sum(column.kl) / len(column.kl),
                "perplexity": column.perplexity,
                "under column 1": column.perplexity_first,
                "prompt tokens": column.prompt_tokens,
            }
        )
    return pd.DataFrame(rows)


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
                "model": sheet.model,
                "terms": sheet.terms,
                "temperature": sheet.sampling.temperature,
                "seed": sheet.sampling.seed,
            }
            for at, column in enumerate(sheet.columns)
            for place, word in enumerate(column.words)
        ]
    )


def _told_apart(names: dict[int, str]) -> dict[int, str]:
    """Tokens that look the same get their ids beside them."""
    every = list(names.values())
    return {id: name if every.count(name) == 1 else f"{name} {id}" for id, name in names.items()}
