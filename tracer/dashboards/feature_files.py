"""What others wrote down of a feature: the files that circuit-tracer's pages read, in the folder of a transcoder set.

Two layouts (study/circuit-tracer.md §3.8): `features/index.json.gz` with a file of gzipped records for each layer, or
`features/NUMBER.json`, one file a feature, numbered by Cantor's pairing of layer and index. The files are anybody's:
reading one runs nothing, believes nothing, and takes a bounded amount of memory.
"""

import gzip
import io
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    Field,
    FiniteFloat,
    NonNegativeInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from tracer.errors import TracerError, first_fault, first_line
from tracer.features.transcoders import TranscoderBasis
from tracer.interchange.feature_numbers import cantor

FOLDER, INDEX = "features", "index.json.gz"
MOST_INDEX, MOST_RECORD = 200_000_000, 5_000_000  # bytes of JSON


class FileExample(BaseModel):
    tokens: list[str]
    tokens_acts_list: list[FiniteFloat]

    @model_validator(mode="after")
    def _same_length(self) -> "FileExample":
        if len(self.tokens) != len(self.tokens_acts_list):
            raise ValueError("tokens and activations have different lengths")
        return self


class Quantile(BaseModel):
    quantile_name: str  # "Top Activations", "Subsample Interval 0", …
    examples: list[FileExample]


class FeatureFile(BaseModel):
    """More may be in the file."""

    examples_quantiles: list[Quantile]
    top_logits: list[str] = []  # tokens that it raises most, without values
    bottom_logits: list[str] = []
    activation_frequency: FiniteFloat | None = None  # share of tokens at which it is active


class _Layer(BaseModel):
    filename: Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]  # in the same folder
    offsets: list[NonNegativeInt]


_INDEX = TypeAdapter(list[_Layer])


def folder_of(basis: object) -> Path | None:
    """Where a set keeps such files; None where it has none."""
    if not isinstance(basis, TranscoderBasis):
        return None
    folder = basis.files.layers[0].encoder.path.parent / FOLDER
    return folder if folder.is_dir() else None


def read(folder: Path, layer: int, feature: int) -> FeatureFile | None:
    """None where the folder doesn't have this feature. Raises TracerError, one line, for a file that can't be used."""
    try:
        index = folder / INDEX
        if index.exists():
            record = _from_layer_file(folder, _index(index, index.stat().st_mtime_ns), layer, feature)
        else:
            path = folder / f"{cantor(layer, feature)}.json"
            record = _at_most(path.open("rb"), MOST_RECORD) if path.exists() else None
        return None if record is None else FeatureFile.model_validate_json(record)
    except ValidationError as problem:
        raise TracerError(
            f"the file of this feature is not as circuit-tracer writes it: {first_fault(problem)}"
        ) from problem
    except (OSError, EOFError, ValueError, zlib.error) as problem:
        raise TracerError(f"the file of this feature can't be read ({first_line(problem)})") from problem


def _from_layer_file(folder: Path, layers: list[_Layer], layer: int, feature: int) -> bytes | None:
    if layer >= len(layers) or feature + 1 >= len(layers[layer].offsets):
        return None
    first, end = layers[layer].offsets[feature : feature + 2]
    if first >= end:
        return None
    if end - first > MOST_RECORD:
        raise ValueError("its record is too long")
    with open(folder / layers[layer].filename, "rb") as file:
        file.seek(first)
        return _at_most(gzip.GzipFile(fileobj=io.BytesIO(file.read(end - first))), MOST_RECORD)


@lru_cache(maxsize=2)
def _index(path: Path, _changed: int) -> list[_Layer]:
    return _INDEX.validate_json(_at_most(gzip.open(path), MOST_INDEX))


def _at_most(file: io.BufferedIOBase | gzip.GzipFile, limit: int) -> bytes:
    """Raises ValueError for more than `limit` bytes: a small gzip may hold very many."""
    with file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it holds more than {limit / 1e6:,.0f} MB")
    return data
