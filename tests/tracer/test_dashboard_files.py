"""circuit-tracer's feature files in both layouts, and what is no such file."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import tiny_llama, transcoders, with_transcoders
from tracer import TracerError
from tracer.dashboards import feature_files
from tracer.interchange.feature_numbers import cantor


def record(index: int) -> dict[str, Any]:
    """As circuit-tracer writes it, with a field that nobody knows."""
    example = {
        "tokens": ["a", " b"],
        "tokens_acts_list": [0.0, index + 0.5],
        "train_token_ind": 1,
        "is_repeated_datapoint": False,
    }
    return {
        "transcoder_id": "set",
        "index": index,
        "examples_quantiles": [{"quantile_name": "Top Activations", "examples": [example]}],
        "top_logits": [" up"],
        "bottom_logits": [" down"],
        "act_min": 0.0,
        "act_max": 9.5,
        "quantile_values": [0.0, 1.0],
        "histogram": [3, 1],
        "activation_frequency": 0.25,
        "from_tomorrow": {"x": 1},
    }


def layer_files(folder: Path, n_layers: int = 2, n_features: int = 4) -> Path:
    """An index and a file a layer; feature 2 of each layer has no record."""
    folder.mkdir(exist_ok=True)
    index = []
    for layer in range(n_layers):
        blobs = [gzip.compress(json.dumps(record(10 * layer + f)).encode()) for f in range(n_features)]
        blobs[2] = b""
        offsets = [sum(map(len, blobs[:f])) for f in range(n_features + 1)]
        (folder / f"layer_{layer}.bin").write_bytes(b"".join(blobs))
        index.append({"filename": f"layer_{layer}.bin", "offsets": offsets})
    write_index(folder, index)
    return folder


def write_index(folder: Path, index: Any) -> None:
    (folder / "index.json.gz").write_bytes(gzip.compress(json.dumps(index).encode()))


def test_a_record_of_a_layer_file(tmp_path: Path) -> None:
    folder = layer_files(tmp_path)
    found = feature_files.read(folder, 1, 3)
    assert found is not None and found.examples_quantiles[0].examples[0].tokens_acts_list == [0.0, 13.5]
    assert (found.top_logits, found.bottom_logits, found.activation_frequency) == ([" up"], [" down"], 0.25)
    assert all(feature_files.read(folder, *where) is None for where in ((1, 2), (1, 4), (2, 0)))


def test_a_file_a_feature(tmp_path: Path) -> None:
    (tmp_path / f"{cantor(20, 15589)}.json").write_text(json.dumps(record(7)))
    assert (tmp_path / "121843834.json").exists()  # as published, study/neuronpedia.md §2.2
    found = feature_files.read(tmp_path, 20, 15589)
    assert found is not None and found.examples_quantiles[0].quantile_name == "Top Activations"
    assert feature_files.read(tmp_path, 20, 15590) is None


def test_only_a_set_with_such_a_folder_has_them(tmp_path: Path) -> None:
    inner = tiny_llama()
    basis = with_transcoders(inner, transcoders(tmp_path / "set", inner)).basis
    assert feature_files.folder_of(basis) is None
    layer_files(tmp_path / "set" / "features")
    assert feature_files.folder_of(basis) == tmp_path / "set" / "features"
    assert feature_files.folder_of(object()) is None


def no_gzip(folder: Path) -> None:
    (folder / "layer_0.bin").write_bytes(b"x" * 4000)


def a_bomb(folder: Path) -> None:
    blob = gzip.compress(json.dumps(record(0)).encode() + b" " * feature_files.MOST_RECORD)
    (folder / "layer_0.bin").write_bytes(blob)
    write_index(folder, [{"filename": "layer_0.bin", "offsets": [0, len(blob)]}])


def cut_short(folder: Path) -> None:
    (folder / "layer_0.bin").write_bytes((folder / "layer_0.bin").read_bytes()[:30])


def gone(folder: Path) -> None:
    (folder / "layer_0.bin").unlink()


def elsewhere(folder: Path) -> None:
    blob = gzip.compress(json.dumps(record(0)).encode())
    (folder.parent / "secret").write_bytes(blob)
    write_index(folder, [{"filename": "../secret", "offsets": [0, len(blob)]}])


def too_long(folder: Path) -> None:
    write_index(folder, [{"filename": "layer_0.bin", "offsets": [0, 10**12]}])


def negative(folder: Path) -> None:
    write_index(folder, [{"filename": "layer_0.bin", "offsets": [-5, 10]}])


def no_list(folder: Path) -> None:
    write_index(folder, {"filename": "layer_0.bin"})


def spoiled_index(folder: Path) -> None:
    (folder / "index.json.gz").write_bytes(b"\x1f\x8b spoiled")


@pytest.mark.parametrize(
    "spoil", [no_gzip, a_bomb, cut_short, gone, elsewhere, too_long, negative, no_list, spoiled_index]
)
def test_a_spoiled_file_is_one_line(tmp_path: Path, spoil: Any) -> None:
    spoil(layer_files(tmp_path / "features"))
    with pytest.raises(TracerError, match="the file of this feature") as caught:
        feature_files.read(tmp_path / "features", 0, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"examples_quantiles": 3}, "examples_quantiles: Input should be a valid array"),
        (
            {"examples_quantiles": [{"quantile_name": "x", "examples": [{"tokens": ["a"], "tokens_acts_list": []}]}]},
            "lengths",
        ),
        ({"top_logits": [3]}, "top_logits.0"),
        ({"activation_frequency": float("inf")}, "activation_frequency"),
    ],
)
def test_a_record_of_wrong_types_says_where(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    (tmp_path / f"{cantor(0, 1)}.json").write_text(json.dumps(record(1) | change))
    with pytest.raises(TracerError, match=message):
        feature_files.read(tmp_path, 0, 1)
