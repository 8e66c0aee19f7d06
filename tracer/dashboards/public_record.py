"""What Neuronpedia says of a feature in public: examples, explanations, tokens (study/neuronpedia.md §2).

The answer is anybody's: reading one runs nothing, believes nothing, and keeps a bounded part of it. Knows no network.
"""

from typing import Annotated

from pydantic import BaseModel, Field, FiniteFloat, StringConstraints, ValidationError, model_validator

from tracer.errors import TracerError, first_fault

MOST_EXAMPLES = 40  # those with the largest peaks
BEFORE, AFTER = 60, 60  # tokens around an example's peak
MOST_TOKENS, MOST_EXPLANATIONS = 20, 5

_Token = Annotated[str, StringConstraints(max_length=500)]


class PublicExample(BaseModel):
    tokens: Annotated[list[_Token], Field(min_length=1)]
    values: list[FiniteFloat]
    binMin: FiniteFloat | None = None  # the range of peaks that it was drawn from
    binMax: FiniteFloat | None = None

    @model_validator(mode="after")
    def _same_length(self) -> "PublicExample":
        if len(self.tokens) != len(self.values):
            raise ValueError("tokens and values have different lengths")
        return self

    @property
    def peak(self) -> float:
        return max(self.values, key=abs)

    def around_peak(self) -> "PublicExample":
        at = self.values.index(self.peak)
        part = slice(max(0, at - BEFORE), at + AFTER)
        return self.model_copy(update={"tokens": self.tokens[part], "values": self.values[part]})


class Explanation(BaseModel):
    description: Annotated[str, StringConstraints(max_length=10_000)] | None = None
    explanationModelName: Annotated[str, StringConstraints(max_length=200)] | None = None


class PublicRecord(BaseModel):
    """More may be in the answer."""

    modelId: str
    layer: str  # with the feature set: "12-gemmascope-transcoder-16k"
    index: int
    frac_nonzero: FiniteFloat | None = None  # share of tokens at which it is active
    pos_str: list[_Token] = []  # tokens that it raises most
    pos_values: list[FiniteFloat] = []
    neg_str: list[_Token] = []
    neg_values: list[FiniteFloat] = []
    explanations: list[Explanation] = []
    activations: list[PublicExample] = []

    @model_validator(mode="after")
    def _same_lengths(self) -> "PublicRecord":
        if (len(self.pos_str), len(self.neg_str)) != (len(self.pos_values), len(self.neg_values)):
            raise ValueError("tokens and their values have different lengths")
        return self

    def of_each_size(self) -> list[PublicExample]:
        """The first example of each range of peaks, the largest range first."""
        ranges = {(e.binMin, e.binMax): e for e in reversed(self.activations) if e.binMax is not None}
        return [ranges[bounds] for bounds in sorted(ranges, key=lambda bounds: -(bounds[1] or 0.0))]


def read(answer: bytes | str, model: str, layer: str, index: int) -> PublicRecord:
    """The part of an answer that is kept. Raises TracerError, one line, for one that can't be used."""
    try:
        found = PublicRecord.model_validate_json(answer)
    except ValidationError as problem:
        raise TracerError(f"the answer is not as Neuronpedia writes it: {first_fault(problem)}") from problem
    if (found.modelId, found.layer, found.index) != (model, layer, index):
        raise TracerError("the answer is about another feature")
    largest = sorted(found.activations, key=lambda example: -abs(example.peak))[:MOST_EXAMPLES]
    return found.model_copy(
        update={
            "activations": [example.around_peak() for example in largest],
            "explanations": [e for e in found.explanations if e.description][:MOST_EXPLANATIONS],
            **{name: getattr(found, name)[:MOST_TOKENS] for name in ("pos_str", "pos_values", "neg_str", "neg_values")},
        }
    )
