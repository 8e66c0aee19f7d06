"""What the shipped Dockerfile does, read without a Docker engine."""

import re
import shutil
from pathlib import Path

from tests.serving import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """(instruction, the rest) of each line, with continued ones joined."""
    text = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line[0], line[1]) for line in lines]


def copied() -> list[tuple[str, str]]:
    """(what of the repository, where in the image)."""
    found = []
    for name, rest in instructions():
        if name == "COPY":
            *sources, target = rest.split()
            found += [(source, target) for source in sources]
    return found


def put_together(folder: Path) -> Path:
    """The files of the repository that the image holds, as it holds them."""
    for source, target in copied():
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (folder / target).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / target)
    return folder
