"""Pickles that would do something, and zip files that would grow: refused, and nothing of theirs has run."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tracer.interchange import pt_files
from tests.tracer.interchange.cases import ONE, case
from tracer import TracerError
from tracer.interchange import Limits, circuit_tracer, pickles


class Call:
    """Unpickled, it is what a function returned."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def refused(path: Path, message: str) -> None:
    with pytest.raises(TracerError, match=message) as caught:
        circuit_tracer.load(path)
    assert str(caught.value).isprintable()


BOMBS: dict[str, Callable[[Path], object]] = {  # each makes a folder
    "os.system": lambda marker: Call(os.system, f"mkdir {marker}"),
    "exec": lambda marker: Call(exec, f"import os; os.mkdir({str(marker)!r})"),
    "os.mkdir": lambda marker: Call(os.mkdir, str(marker)),
    "another pickle": lambda marker: Call(pickle.loads, pickle.dumps(Call(os.mkdir, str(marker)))),
    "a method": lambda marker: Call(Path.mkdir, marker),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("field", ["cfg", "scan", "more"])
def test_a_pickle_bomb_is_refused_and_nothing_runs(name: str, field: str, tmp_path: Path):
    marker = tmp_path / "ran"
    path = pt_files.write(case(ONE), tmp_path / "g.pt", **{field: BOMBS[name](marker)})
    with pt_files.installed():
        torch.load(path, weights_only=False)
    marker.rmdir()  # it works
    refused(path, "the file is refused: it names")
    assert not marker.exists()


def test_a_pickle_inside_stays_bytes(tmp_path: Path):
    """A pickle in a string or tensor is never opened."""
    marker = tmp_path / "ran"
    inner = torch.frombuffer(bytearray(pickle.dumps(Call(os.mkdir, str(marker)))), dtype=torch.uint8)
    path = pt_files.write(case(ONE), tmp_path / "g.pt", more=inner.long())
    _, report = circuit_tracer.load(path)
    assert report.ignored["unknown fields"] == 1 and not marker.exists()


@pytest.mark.parametrize(
    "part",
    [
        Call(bytearray, 10**13),  # torch would allow these, and they take what memory there is
        Call(torch.Tensor, 10**6, 10**6),
        Call(torch.device, "meta"),
        {1, 2},
        torch.zeros(3, dtype=torch.complex64),
        Path("x"),
    ],
)
def test_what_no_graph_needs_is_refused(part: Any, tmp_path: Path):
    refused(pt_files.write(case(ONE), tmp_path / "g.pt", more=part), "the file is refused: it names")


def test_the_stand_ins_are_inert(tmp_path: Path):
    """Whatever state a file gives them, they are never called and never printed."""
    with pt_files.installed() as (config, target):
        content = pt_files.parts(case(ONE), config, target)
        content["cfg"].__dict__ |= {"__class__": OrderedDict, "__init__": OrderedDict, "n_layers": [OrderedDict()]}
        torch.save(content, tmp_path / "g.pt")
    refused(tmp_path / "g.pt", "how many layers")


def test_other_classes_of_circuit_tracer_are_refused_by_name(tmp_path: Path):
    with pt_files.installed() as (config, _):
        config.__qualname__ = "Other"
        pt_files.sys.modules[pt_files.CONFIG].Other = config
        torch.save({"cfg": object.__new__(config)}, tmp_path / "g.pt")
    refused(tmp_path / "g.pt", r"tl_nnsight_mapping\.Other")


def rebuilt(path: Path, change: Callable[[str, bytes], bytes], method: int = zipfile.ZIP_STORED, more: int = 0) -> Path:
    """The same zip file with changed parts."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in parts.items():
            archive.writestr(name, change(name, data))
        for i in range(more):
            archive.writestr(f"more/{more}/{i}", b"")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return pt_files.write(case(ONE), tmp_path / "g.pt")


def test_rebuilding_alone_changes_nothing(path: Path):
    circuit_tracer.load(rebuilt(path, lambda name, data: data))


def test_a_compressed_file_is_refused(path: Path):
    refused(rebuilt(path, lambda name, data: data, zipfile.ZIP_DEFLATED), "compressed")
    refused(rebuilt(path, lambda name, data: b"\0" * 10_000_000, zipfile.ZIP_DEFLATED), "compressed")


def test_parts_longer_than_the_file_are_refused(path: Path):
    """The table of contents may say anything."""
    data = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entry = next(e for e in archive.infolist() if e.filename.endswith("data/0"))
    size = entry.file_size.to_bytes(4, "little")
    start = data.rindex(entry.filename.encode()) - 46
    assert data[start : start + 4] == b"PK\1\2" and data[start + 20 : start + 28] == size * 2
    path.write_bytes(data[: start + 20] + b"\xf0\xff\xff\x7f" * 2 + data[start + 28 :])
    refused(path, "longer than the file")


def test_too_many_parts_are_refused(path: Path):
    refused(rebuilt(path, lambda name, data: data, more=60), "parts of one")
    refused(rebuilt(path, lambda name, data: data, more=300), "table of contents")


def test_a_long_pickle_is_refused(path: Path):
    long = pickles.MAX_PICKLE_BYTES + 1
    refused(rebuilt(path, lambda name, data: data if "pkl" not in name else b"\0" * long), "longer than 1 MB")


def test_parts_shorter_than_their_tensors_are_refused(path: Path):
    """A tensor never reads beyond what is stored of it."""
    refused(
        rebuilt(path, lambda name, data: data[:8] if name.endswith("data/0") else data), "no graph of circuit-tracer"
    )


def test_errors_that_quote_the_file_stay_one_line(path: Path):
    """torch names the part that it doesn't find."""
    with zipfile.ZipFile(path) as archive:
        data = archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))
    spoilt = data.replace(b"X\x01\0\0\x000", b"X\x05\0\0\0\x1b[2J\n")
    assert spoilt != data
    refused(rebuilt(path, lambda name, old: spoilt if name.endswith("data.pkl") else old), r"\?\[2J")


def test_two_parts_of_one_name_are_refused(path: Path):
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(next(n for n in archive.namelist() if n.endswith("data.pkl")), pickle.dumps({}, 2))
    refused(path, "parts of one")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"PK",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"PK" + b"\0" * 1000,
        lambda data: pickle.dumps({}),
    ],
)
def test_what_is_no_zip_file_is_refused(spoil: Callable[[bytes], bytes], path: Path):
    path.write_bytes(spoil(path.read_bytes()))
    refused(path, "no graph of circuit-tracer")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x02}",
        b"\x80\x02]q\x00.",
        b"\x80\x02N.",
        b"\x80\x02(((((.",
        b"\x80\x02\x85.",
        b"\x80\x02ccollections\nOrderedDict\nK\x01R.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02h\x05.",
        b"\xff" * 100,
        b"(" * 100_000 + b"t" * 99_999 + b".",
    ],
)
def test_spoiled_pickles_are_refused(data: bytes, path: Path):
    refused(rebuilt(path, lambda name, old: data if name.endswith("data.pkl") else old), "no graph of circuit-tracer")


@pytest.mark.parametrize("data", [b"\x80\x04\x8c\x02os\x8c\x06system\x93.", b"(ios\nsystem\n.", b"\x80\x02\x82\x01."])
def test_other_ways_to_name_a_function_are_refused(data: bytes, path: Path):
    refused(
        rebuilt(path, lambda name, old: data if name.endswith("data.pkl") else old), "the file is refused: it names"
    )


def test_old_files_without_a_zip_are_refused(tmp_path: Path):
    marker = tmp_path / "ran"
    bomb = {"cfg": Call(os.mkdir, str(marker))}
    torch.save(bomb, tmp_path / "g.pt", _use_new_zipfile_serialization=False)
    refused(tmp_path / "g.pt", "no file of torch.save")
    assert not marker.exists()


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path):
    with open(tmp_path / "g.pt", "wb") as file:
        file.truncate(Limits().pt_bytes + 1)  # a hole: it takes no room
    refused(tmp_path / "g.pt", "longer than 2,000 MB")
    refused(tmp_path / "nowhere.pt", "can't read")
