"""From a reference to the files of a set of transcoders: a folder, or a repository on the Hub.

A set is a config.yaml and one or two files a layer. The files follow from their names, or config.yaml lists them, one a
layer: by their path from its own folder, or somewhere on the Hub. No file may lie outside the folder that names it.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import yaml

from tracer import hub
from tracer.errors import Progress, TracerError, first_line
from tracer.features.formats import layers_told

CONFIG = "config.yaml"
LARGEST_CONFIG = 1 << 18  # bytes; a list of 60 layers takes 10 KB
DEEPEST_CONFIG = 20

# The files of a layer in each layout: # is its number, * anything. The first layout with any file is taken.
FILES = (
    ("W_enc_#.safetensors", "W_dec_#.safetensors"),  # circuit-tracer's CLT
    ("params_layer_#.safetensors",),  # GemmaScope-2's CLT
    ("layer_#.safetensors",),  # circuit-tracer's PLT
    ("layer_#_*/params.safetensors",),  # GemmaScope-2's PLT
    ("layer_#.npz",),
    ("layer_#/*params.npz",),  # GemmaScope
)


@dataclass(frozen=True)
class SetFile:
    """One file of a set, on this machine."""

    path: Path
    hub: str | None  # repository@commit/name of a file of the Hub, which never changes


@dataclass(frozen=True)
class Place:
    """A folder that sets lie in: on this machine, or in a repository at a commit."""

    folder: Path
    repository: str | None = None
    commit: str = ""
    below: str = ""  # the folder in the repository, "" or "sub/"
    names: frozenset[str] = frozenset()  # the files of a repository, seen from `below`


@dataclass(frozen=True)
class FoundSet:
    config: dict[str, Any]  # of config.yaml; empty without one
    config_text: bytes
    layers: list[list[SetFile]]  # the files of each
    description: Path | None  # config.json beside the first file, as GemmaScope-2 has it; not if config.yaml has hooks
    repository: str  # the Hub's id, or what config.yaml calls its origin; "" if neither


def find(reference: str, progress: Progress) -> FoundSet:
    """Find, and download if need be, the files of a set. Raises TracerError with one line that says what to do."""
    place = _place(reference)
    text = _config_text(place)
    config = parse_config(text, f"{reference}/{CONFIG}") if text is not None else {}
    if "transcoders" in config:
        wanted = [[file] for file in _listed(config["transcoders"], place)]
    else:
        wanted = [[(place, name) for name in names] for names in layer_files(_names(place), reference)]
    remote = any(where.repository for files in wanted for where, _ in files)
    layers: list[list[SetFile]] = []
    told = None
    for i, files in enumerate(wanted):
        if i and i == told == len(wanted) - 1:
            break  # published lists of GemmaScope-2's CLTs have one entry more than layers
        if remote:
            progress("download", i / len(wanted))
        layers.append([_fetch(*file) for file in files])
        if i == 0 and layers[0][0].path.suffix == ".safetensors":
            told = layers_told(layers[0][0].path)
    scan = config.get("scan")
    origin = re.split("//|@", scan)[0] if isinstance(scan, str) else ""
    description = None if "feature_input_hook" in config else _description(*wanted[0][0])
    return FoundSet(config, text or b"", layers, description, place.repository or origin)


def layer_files(names: Sequence[str], reference: str) -> list[list[str]]:
    """The files of each layer among those of a folder. Raises TracerError if one is missing, or there are several."""
    for patterns in FILES:
        found = [_by_layer(pattern, names) for pattern in patterns]
        n_layers = max((layer + 1 for files in found for layer in files), default=0)
        if not n_layers:
            continue
        for layer in range(n_layers):
            for pattern, files in zip(patterns, found, strict=True):
                here = files.get(layer, [])
                if not here:
                    raise TracerError(f"{reference} lacks {pattern.replace('#', str(layer))}; download the set again")
                if len(here) > 1:
                    raise TracerError(
                        f"{reference} holds several transcoders for layer {layer} ({here[0]}, {here[1]}); choose by a"
                        f" {CONFIG} with a list transcoders:, one file a layer"
                    )
        return [[files[layer][0] for files in found] for layer in range(n_layers)]
    raise TracerError(
        f"{reference} holds no transcoders that can be read; give a folder with {CONFIG} and layer_0.safetensors …,"
        " or with GemmaScope's files"
    )


def parse_config(text: bytes, name: str) -> dict[str, Any]:
    """config.yaml as plain data. Raises TracerError for anything else that YAML can hold."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):  # one by one: safe_load would follow whatever depth
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST_CONFIG or isinstance(event, yaml.AliasEvent):
                raise TracerError(f"{name} is nested too deeply, or refers to itself; write it as a plain list of keys")
        config = yaml.safe_load(text)
    except TracerError:
        raise
    except Exception as problem:  # a tag of Python, a date that is none: PyYAML raises what it meets
        raise TracerError(f"{name} is no plain YAML ({first_line(problem)}); correct it") from problem
    if not isinstance(config, dict):
        raise TracerError(f"{name} holds no keys; it should begin with model_kind: transcoder_set")
    return config


def _place(reference: str) -> Place:
    unknown = (
        f"there are no transcoders {reference[:200]!r}; give a folder, or a Hub reference org/name[/folder][@revision]"
    )
    if not reference.strip():  # which as a path would be the working directory
        raise TracerError(unknown)
    try:
        path = Path(reference).expanduser()
        if path.is_dir():
            return Place(path.resolve())
        is_file = path.is_file()
    except (OSError, RuntimeError, ValueError) as problem:  # too long, ~ of an unknown user, no rights, a null byte
        raise TracerError(unknown) from problem
    if is_file:
        raise TracerError(f"{reference} is a file; give the folder that holds the set")
    repository, below, revision = _parsed(reference, unknown)
    return _on_hub(repository, f"{below}/" if below else "", revision)


def _parsed(reference: str, wrong: str) -> tuple[str, str, str | None]:
    """Repository, path in it and revision of org/name/path@revision or hf://org/name/path?revision=…"""
    if reference.startswith("hf://"):
        path, _, query = reference.removeprefix("hf://").partition("?")
        revision = parse_qs(query).get("revision", [None])[0]
    else:
        path, _, revision = reference.partition("@")
    parts = path.rstrip("/").split("/")
    if len(parts) < 2 or any(part in ("", ".", "..", "~") or "\\" in part for part in parts):
        raise TracerError(wrong)
    return "/".join(parts[:2]), "/".join(parts[2:]), revision or None


def _on_hub(repository: str, below: str, revision: str | None) -> Place:
    folder = hub.snapshot(repository, [escape(below + CONFIG)], revision, "repository")
    names = frozenset(n.removeprefix(below) for n in hub.names(repository, folder) if n.startswith(below))
    return Place(folder / below, repository, folder.name, below, names)


def _names(place: Place) -> Sequence[str]:
    """The files that may be a layer's: those in the folder itself, and in folders layer_… below it."""
    if place.repository:
        return sorted(place.names)
    try:
        inside = [p for p in place.folder.glob("layer_*") if p.is_dir() and not p.is_symlink()]
        found = [*place.folder.iterdir(), *(file for folder in inside for file in _below(folder, 3))]
    except OSError as problem:
        raise TracerError(f"can't read {place.folder} ({first_line(problem)}); see to its rights") from problem
    return sorted(path.relative_to(place.folder).as_posix() for path in found)


def _below(folder: Path, depth: int) -> list[Path]:
    """Files, without following links to folders: they may lead in a circle."""
    found = []
    for path in folder.iterdir():
        if path.is_dir():
            found += _below(path, depth - 1) if depth and not path.is_symlink() else []
        else:
            found.append(path)
    return found


def _by_layer(pattern: str, names: Sequence[str]) -> dict[int, list[str]]:
    regex = re.compile(re.escape(pattern).replace(r"\#", "([0-9]{1,4})").replace(r"\*", ".*"))
    found: dict[int, list[str]] = {}
    for name in names:
        if match := regex.fullmatch(name):
            found.setdefault(int(match[1]), []).append(name)
    return found


def _listed(entries: object, place: Place) -> list[tuple[Place, str]]:
    """The files that config.yaml lists. Each repository is asked once, so that all its files are of one commit."""
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, str) for entry in entries):
        raise TracerError(f"{CONFIG}: transcoders: should be a list of files, one a layer; correct it")
    places: dict[tuple[str, str | None], Place] = {}
    files = []
    for entry in entries:
        if not entry.startswith("hf://"):
            files.append((place, entry))
            continue
        wrong = f"{CONFIG} lists {entry[:80]!r}, which should be hf://org/name/file[?revision=…]; correct it"
        repository, name, revision = _parsed(entry, wrong)
        if not name:
            raise TracerError(wrong)
        if (repository, revision) not in places:
            places[repository, revision] = _on_hub(repository, "", revision)
        files.append((places[repository, revision], name))
    return files


def _fetch(place: Place, name: str) -> SetFile:
    """Raises TracerError if the file isn't there, or not within the folder."""
    if name.startswith(("/", "~")) or ".." in name.split("/"):
        raise TracerError(f"{CONFIG} names {name[:80]!r}, which leads out of its folder; copy the file into the folder")
    where = place.repository or place.folder
    missing = TracerError(f"{where} lacks {place.below + name[:120]!r}; download the set again, or correct {CONFIG}")
    if place.repository:
        if name not in place.names:
            raise missing
        path = hub.file(place.repository, place.below + name, place.commit)
        return SetFile(path, f"{place.repository}@{place.commit}/{place.below}{name}")
    path = place.folder / name
    try:
        if not path.is_file():
            raise missing
        inside = path.resolve().is_relative_to(_root(place.folder))
    except (OSError, RuntimeError) as problem:
        raise TracerError(
            f"can't read {name[:120]!r} in {place.folder} ({first_line(problem)}); see to its name and rights"
        ) from problem
    if not inside:
        raise TracerError(f"{path} leads out of its folder; copy the file into the folder")
    return SetFile(path, None)


def _root(folder: Path) -> Path:
    """What its files may not leave: the folder; in a cache of the Hub, where files are links, the repository's."""
    return next((p.parent for p in folder.parents if p.name == "snapshots"), folder)


def _config_text(place: Place) -> bytes | None:
    here = CONFIG in place.names if place.repository else os.path.lexists(place.folder / CONFIG)
    if not here:
        return None
    path = _fetch(place, CONFIG).path
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise TracerError(f"{path} is larger than {LARGEST_CONFIG // 1024} KB; see that it is the right file")
        return path.read_bytes()
    except OSError as problem:
        raise TracerError(f"can't read {path} ({first_line(problem)}); see to its rights") from problem


def _description(place: Place, name: str) -> Path | None:
    beside = f"{name.rpartition('/')[0]}/config.json".lstrip("/")
    there = beside in place.names if place.repository else (place.folder / beside).is_file()
    return _fetch(place, beside).path if there else None
