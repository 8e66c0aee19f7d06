"""The settings of a running dashboard, from `HYPOGRAPH_*` in the environment. Knows their limits, not who uses them."""

import getpass
import hashlib
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import tracer
from lab.database import default_url
from tracer.interchange import Limits

Default = TypeVar("Default", float, int, None)


class SettingsError(Exception):
    """A variable has a value that cannot be used. The message is one line: the variable and what is allowed."""


@dataclass(frozen=True)
class Settings:
    home: Path  # everything that Hypograph keeps
    cache: Path  # graphs that can be made again
    cache_gb: float
    database: str = field(repr=False)  # URL of what people write: labels, circuits; it may hold a password
    model: str
    features: str
    device: str
    dtype: str
    offload: bool  # do the layers' weights stay on the disk
    build_dashboards: bool  # collect what features fire on, while nothing else is to be done
    max_tokens: int  # longest prompt that is traced
    queue: int  # most jobs that wait
    queue_person: int  # of one person
    stop_seconds: int  # that a stop waits for the trace that runs
    import_mb: int  # of one file of another program
    import_nodes: int
    import_edges: int
    import_depth: int  # of lists and objects in each other
    metrics_port: int | None  # for health and figures, on loopback; None: nobody asks for them
    log_prompts: bool  # may the log hold what people typed
    quota_mb: int | None  # of one person
    models_gb: float | None  # for weights; None: one model, and one beside it
    ray_address: str  # of a cluster that traces; empty: none
    neuronpedia: str  # where graphs are published, if a key is set
    neuronpedia_key: str = field(repr=False)  # empty: none; shown and logged nowhere

    @property
    def import_limits(self) -> Limits:
        """Of files that people give the dashboard."""
        size = self.import_mb * 1_000_000
        return Limits(size, size, self.import_nodes, self.import_edges, self.import_depth)

    @property
    def models(self) -> Path:
        """Converted weights: the engine's `store`."""
        return self.home / "models"

    def dashboards(self, model_fingerprint: str, basis_fingerprint: str) -> Path:
        """Of one model with one feature basis."""
        name = hashlib.sha256(f"{model_fingerprint} {basis_fingerprint}".encode()).hexdigest()[:16]
        return self.home / "dashboards" / name

    @classmethod
    def from_env(cls) -> "Settings":
        environment = os.environ
        home = tracer.home().absolute()
        cache = environment.get("HYPOGRAPH_CACHE")
        return cls(
            home=home,
            cache=Path(cache).expanduser().absolute() if cache else home / "cache",
            cache_gb=_gigabytes(environment, "HYPOGRAPH_CACHE_GB", 5.0),
            database=environment.get("HYPOGRAPH_DATABASE_URL") or default_url(),
            model=environment.get("HYPOGRAPH_MODEL") or "gemma-3-270m",
            features=environment.get("HYPOGRAPH_FEATURES") or "neurons",
            device=_device(environment, "HYPOGRAPH_DEVICE"),
            dtype=_choice(environment, "HYPOGRAPH_DTYPE", ("auto", "float32", "bfloat16", "float16")),
            offload=_choice(environment, "HYPOGRAPH_OFFLOAD", ("0", "1")) == "1",
            build_dashboards=_choice(environment, "HYPOGRAPH_DASHBOARDS", ("1", "0")) == "1",
            max_tokens=_count(environment, "HYPOGRAPH_MAX_TOKENS", 512),
            queue=_count(environment, "HYPOGRAPH_QUEUE", 32),
            queue_person=_count(environment, "HYPOGRAPH_QUEUE_PERSON", 8),
            stop_seconds=_count(environment, "HYPOGRAPH_STOP_SECONDS", 10),
            import_mb=_count(environment, "HYPOGRAPH_IMPORT_MB", 50),
            import_nodes=_count(environment, "HYPOGRAPH_IMPORT_NODES", 200_000),
            import_edges=_count(environment, "HYPOGRAPH_IMPORT_EDGES", 2_000_000),
            import_depth=_count(environment, "HYPOGRAPH_IMPORT_DEPTH", 50),
            metrics_port=_port(environment, "HYPOGRAPH_METRICS_PORT"),
            log_prompts=_choice(environment, "HYPOGRAPH_LOG_PROMPTS", ("0", "1")) == "1",
            quota_mb=_count(environment, "HYPOGRAPH_QUOTA_MB", None),
            models_gb=_gigabytes(environment, "HYPOGRAPH_MODELS_GB", None),
            ray_address=environment.get("HYPOGRAPH_RAY_ADDRESS", "").strip(),
            neuronpedia=_address(environment, "HYPOGRAPH_NEURONPEDIA", "https://neuronpedia.org"),
            neuronpedia_key=environment.get("NEURONPEDIA_API_KEY", "").strip(),
        )


def local_user() -> str:
    """Who is asking, until there are logins: HYPOGRAPH_USER, or the user of the operating system."""
    return os.environ.get("HYPOGRAPH_USER") or getpass.getuser()


def _gigabytes(environment: Mapping[str, str], name: str, default: Default) -> float | Default:
    text = environment.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0.01 <= value < math.inf):
        raise SettingsError(f"{name} is {text!r}: it must be a number of gigabytes, at least 0.01")
    return value


def _count(environment: Mapping[str, str], name: str, default: Default) -> int | Default:
    text = environment.get(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise SettingsError(f"{name} is {text!r}: it must be a whole number, at least 1")
    return value


def _port(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name)
    if not text:
        return None
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or not 1 <= int(text) <= 65535:
        raise SettingsError(f"{name} is {text!r}: it must be a port, 1 to 65535")
    return int(text)


def _address(environment: Mapping[str, str], name: str, default: str) -> str:
    value = (environment.get(name) or default).rstrip("/")
    if not re.fullmatch(r"https?://[\w.:\[\]-]+(/[\w./-]*)?", value, re.ASCII):
        raise SettingsError(f"{name} is {value!r}: it must be an address like {default}")
    return value


def _device(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name) or "auto"
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
        raise SettingsError(f"{name} is {value!r}: it must be auto, cpu, mps, cuda or cuda:N")
    return value


def _choice(environment: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = environment.get(name) or allowed[0]
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}: it must be one of {', '.join(allowed)}")
    return value
