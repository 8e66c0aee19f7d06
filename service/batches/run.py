"""A batch from its prompts to its folder: what is finished is kept at once, and not done again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.batches.folder import About, Asked, Folder, Item, Settings, create
from service.batches.worker import Traced
from service.batches.workers import Lost, Workers
from tracer import Progress

_AT_ONCE = 500  # prompts that are read in one call


@dataclass(frozen=True)
class Finished:
    """One prompt, now."""

    item: Item
    error: str | None


@dataclass(frozen=True)
class Prepared:
    folder: Folder
    refused: dict[str, str]  # what can't be traced, by key: why, in one line
    left: list[Item]  # what can, and has no graph yet; each key once


def prepare(
    path: Path,
    title: str,
    names: tuple[str, str],
    asked: Sequence[Asked],
    settings: Settings,
    workers: Workers,
    progress: Progress,
) -> Prepared:
    """The folder of these prompts, new or gone on with; `names`: of model and features.

    Raises TracerError as `folder.create` does, and where the model can't be loaded.
    """
    about = About(
        title=title, model=names[0], features=names[1], fingerprints=workers.ask("fingerprints"), settings=settings
    )
    numbered = list(enumerate(asked, start=1))
    items: list[Item] = []
    refused: dict[str, str] = {}
    for start in range(0, len(numbered), _AT_ONCE):
        progress("prompts are read", start / len(numbered))
        for item, error in workers.ask("prepare", numbered[start : start + _AT_ONCE], settings):
            items.append(item)
            if error is not None:
                refused[item.key] = error
    folder = create(path, about, items)
    for key, error in refused.items():
        folder.fail(key, error, 0.0)
    return Prepared(folder, refused, [item for item in folder.left() if item.key not in refused])


def run(prepared: Prepared, workers: Workers) -> Iterator[Finished]:
    """Traces what is left; gives each prompt once it is kept. Raises TracerError where the folder can't be written."""
    folder = prepared.folder
    for item, traced in workers.each("trace", prepared.left, folder.about.settings):
        if isinstance(traced, Lost):
            traced = Traced(0.0, error=str(traced))
        if traced.error is not None:
            folder.fail(item.key, traced.error, traced.seconds)
        else:
            folder.keep_bytes(item.key, traced.graph, traced.summary, traced.seconds)
        yield Finished(item, traced.error)
