"""Features as Neuronpedia shows them: fetched when somebody asks, each by a thread of its own, and kept on disk.

Its own Python package has a reader of features, which leaves out the tokens that they raise and lower and takes an
answer of any size; so requests alone is used. Not run against the live site from here: the tests have a server of their
own that checks the requests. The key goes with the requests and nowhere else.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import requests

import tracer
from cache import FactCache, fact_key
from service.settings import Settings
from tracer.dashboards import public_record
from tracer.dashboards.public_record import PublicRecord
from tracer.errors import first_line
from tracer.presets import neuronpedia_set

log = logging.getLogger(__name__)

SECONDS = 20.0  # without a sign of life from the server; the whole answer may take three times as long
MOST_BYTES = 8_000_000
_REDIRECTS = 3
_KEPT = 100  # failures


class RecordError(Exception):
    """There is no record to show. The message is one line, without the key."""


@dataclass(frozen=True)
class FeatureName:
    """What a feature is called on Neuronpedia."""

    model: str
    layer: str  # with the feature set: "12-gemmascope-transcoder-16k"
    index: int

    @property
    def path(self) -> str:
        return f"{quote(self.model, safe='')}/{quote(self.layer, safe='')}/{self.index}"


def name_there(meta: Mapping[str, Any], layer: int, feature: int) -> FeatureName | None:
    """Of a feature of a graph with this meta; None where Neuronpedia has no such set."""
    found = neuronpedia_set(meta["model"], meta["features"])
    return None if found is None else FeatureName(found[0], f"{layer}-{found[1]}", feature)


class PublicRecords:
    def __init__(self, settings: Settings, facts: FactCache) -> None:
        self._settings = settings
        self._facts = facts
        self._lock = threading.Lock()
        self._reading: set[FeatureName] = set()
        self._failed: dict[FeatureName, str] = {}

    @property
    def can_ask(self) -> bool:
        return bool(self._settings.neuronpedia_key)

    def ask(self, name: FeatureName) -> None:
        """Begin to fetch it. Returns at once."""
        with self._lock:
            if name in self._reading or not self.can_ask:
                return
            self._reading.add(name)
            self._failed.pop(name, None)
        threading.Thread(target=self._read, args=(name,), name="hypograph-neuronpedia", daemon=True).start()

    def reading(self, name: FeatureName) -> bool:
        with self._lock:
            return name in self._reading

    def failure(self, name: FeatureName) -> str | None:
        """Why it was not read when it was last asked for."""
        with self._lock:
            return self._failed.get(name)

    def kept(self, name: FeatureName) -> PublicRecord | None:
        """What was fetched once; needs neither key nor network."""
        text = self._facts.get(self._key(name))
        try:
            return None if text is None else public_record.read(text, name.model, name.layer, name.index)
        except tracer.TracerError:
            self._facts.delete(self._key(name))
            return None

    def _read(self, name: FeatureName) -> None:
        failure = None
        try:
            answer = fetch(f"{self._settings.neuronpedia}/api/feature/{name.path}", self._settings.neuronpedia_key)
            found = public_record.read(answer, name.model, name.layer, name.index)
            if not self._facts.put(self._key(name), found.model_dump_json()):
                failure = "it was read, but could not be kept on disk: make room in the cache's folder"
        except (RecordError, tracer.TracerError) as problem:
            failure = str(problem)
        except Exception as problem:  # a thread has nobody else to tell
            log.error("reading from Neuronpedia failed: %s", type(problem).__name__)
            failure = "an unexpected error: try again"
        with self._lock:
            self._reading.discard(name)
            if failure is not None:
                self._failed[name] = failure
                while len(self._failed) > _KEPT:
                    del self._failed[next(iter(self._failed))]

    def _key(self, name: FeatureName) -> str:
        return fact_key("neuronpedia", self._settings.neuronpedia, name.model, name.layer, name.index)


def fetch(url: str, key: str) -> bytes:
    """The body of the answer, at most MOST_BYTES of it. Raises RecordError."""
    host = urlsplit(url).netloc
    end = time.monotonic() + 3 * SECONDS
    try:
        for _ in range(1 + _REDIRECTS):
            with requests.get(
                url,
                headers={"X-Api-Key": key, "Accept": "application/json"},
                timeout=SECONDS,
                stream=True,
                allow_redirects=False,  # requests would give the key to whoever is named
            ) as response:
                if not response.is_redirect:
                    _check(response.status_code)
                    return _body(response, end)
                url = _same_site(url, response.headers["Location"])
        raise RecordError(f"{host} sends in circles: check HYPOGRAPH_NEURONPEDIA")
    except requests.exceptions.InvalidHeader:  # its message would show the key
        raise RecordError("the NEURONPEDIA_API_KEY is none: it holds characters that can't be sent") from None
    except (requests.ConnectionError, requests.Timeout) as problem:
        raise RecordError(f"{host} can't be reached, or is too slow: try again later") from problem
    except (requests.RequestException, OSError, ValueError) as problem:
        said = first_line(problem).replace(key, "…")[:200]
        raise RecordError(f"what {host} said is not understood: {said}") from problem


def _check(status: int) -> None:
    """Raises RecordError unless it is 200."""
    if status in (401, 403):
        raise RecordError("Neuronpedia refused the key: set a valid NEURONPEDIA_API_KEY and start again")
    if status == 404:
        raise RecordError("Neuronpedia does not have this feature")
    if status == 429:
        raise RecordError("Neuronpedia answers no more requests for now: try again later")
    if status != 200:
        raise RecordError(f"Neuronpedia answered with an error ({status}): try again later")


def _body(response: requests.Response, end: float) -> bytes:
    parts, size = [], 0
    while part := response.raw.read1(1 << 16, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise RecordError(f"Neuronpedia's answer is longer than {MOST_BYTES / 1e6:.0f} MB and was not read")
        if time.monotonic() > end:
            raise requests.Timeout
    return b"".join(parts)


def _same_site(url: str, location: str) -> str:
    """Where a redirect leads; only www. may come or go. Raises RecordError for another site."""
    target = urljoin(url, location)
    old, new = urlsplit(url), urlsplit(target)
    same = old.netloc.removeprefix("www.") == new.netloc.removeprefix("www.")
    if not same or (new.scheme != old.scheme and new.scheme != "https"):
        raise RecordError(f"{old.netloc} sends to another site, which is not asked: check HYPOGRAPH_NEURONPEDIA")
    return target
