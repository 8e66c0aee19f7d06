"""The worked examples that come along: runs of hypotheses about the default model, frozen before they ran, as they came
out. What each is about and doesn't show: examples/hypotheses/README.md."""

from pathlib import Path
from typing import NamedTuple

from lab.errors import LabError
from lab.runs.bundle import Bundle, read

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "hypotheses"


class Example(NamedTuple):
    name: str  # of its folder
    bundle: Bundle


def names(folder: Path = FOLDER) -> list[str]:
    """In the order in which they were frozen; none where the engine was installed without them."""
    return sorted(path.parent.name for path in folder.glob("*/run.json"))


def example(name: str, folder: Path = FOLDER) -> Bundle:
    """Raises LabError for a name that is none, and for a folder that holds no run."""
    if name not in names(folder):
        raise LabError(f"there is no worked example {name!r}: there are {', '.join(names(folder)) or 'none'}")
    return read(folder / name)


def examples(folder: Path = FOLDER) -> list[Example]:
    return [Example(name, example(name, folder)) for name in names(folder)]
