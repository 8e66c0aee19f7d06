"""What lies on the Hub, through its own cache on this machine: offline, what was downloaded before is found there.

The token is the environment's (HF_TOKEN). Everything that goes wrong is one line that says what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import get_cached_repo_tree, hf_hub_download, snapshot_download
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import logging

from tracer.errors import TracerError, first_line


def snapshot(
    hub_id: str, patterns: list[str], revision: str | None = None, kind: str = "model", instead: str = ""
) -> Path:
    """The folder with the files of a repository that match; its name is the commit.

    `kind` and `instead` (a second way out, "; or …") are for the messages.
    """
    logging.set_verbosity_error()  # what it would warn of is said by us, in a line
    with _said_in_a_line(hub_id, kind, instead):
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=patterns))


def names(hub_id: str, folder: Path) -> list[str]:
    """What the repository holds at the commit of a snapshot, by path, whether or not it was downloaded."""
    try:
        return [file.path for file in get_cached_repo_tree(hub_id, revision=folder.name)]
    except CachedRepoTreeNotFoundError:  # offline, and the cache was filled by a program that kept no list
        return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def file(hub_id: str, name: str, commit: str) -> Path:
    """One file of a repository; nothing is asked of the Hub if it is on this machine."""
    with _said_in_a_line(hub_id, "repository", ""):
        return Path(hf_hub_download(hub_id, name, revision=commit))


@contextmanager
def _said_in_a_line(hub_id: str, kind: str, instead: str) -> Iterator[None]:
    try:
        yield
    except GatedRepoError as problem:
        raise TracerError(
            f"{hub_id} is gated: accept its licence on the Hub, make a token and set HF_TOKEN to it{instead}"
        ) from problem
    except (RepositoryNotFoundError, HFValidationError) as problem:
        raise TracerError(
            f"the Hub has no public {kind} '{hub_id}'; check the name, or set HF_TOKEN if it is private{instead}"
        ) from problem
    except RevisionNotFoundError as problem:
        raise TracerError(
            f"{hub_id} has no such revision; check the branch, tag or commit that was asked for{instead}"
        ) from problem
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as problem:
        raise TracerError(
            f"{hub_id} is not on this machine and the Hub can't be reached; connect to it, or give a folder{instead}"
        ) from problem
    except Exception as problem:  # a connection that breaks, a full disk: each library on the way has its own errors
        raise TracerError(
            f"downloading {hub_id} failed ({first_line(problem)}); check network and disk, then try again{instead}"
        ) from problem


def snapshots(hub_id: str) -> list[Path]:
    """The folders of a repository's commits in the Hub's cache on this machine."""
    try:
        name = repo_folder_name(repo_id=hub_id, repo_type="model")
    except HFValidationError:  # no name that the Hub could have
        return []
    return list(Path(HF_HUB_CACHE, name, "snapshots").glob("*"))


def is_here(reference: str) -> bool:
    """Do weights of org/name[/folder][@revision] lie in the Hub's cache on this machine?"""
    owner, name, *below = reference.partition("@")[0].split("/")
    folders = [Path(snapshot, *below) for snapshot in snapshots(f"{owner}/{name}")]
    return any(path.suffix in (".safetensors", ".npz") for folder in folders for path in folder.rglob("*"))
