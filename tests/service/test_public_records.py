"""Features read from Neuronpedia (not the live one): what is asked and kept, and answers that nobody should trust."""

import dataclasses
import json
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cache import FactCache
from service import Settings, public_records
from service.public_records import FeatureName, PublicRecords, name_there
from tests.service.fake_engine import until
from tests.service.test_upload import KEY, StandIn, site
from tracer.presets import PRESETS, neuronpedia_set

__all__ = ["site"]
SET = "gemmascope-transcoder-16k"
NAME = FeatureName("gemma-2-2b", f"20-{SET}", 15589)
PATH = f"/api/feature/gemma-2-2b/20-{SET}/15589"


def example(peak: float, bounds: tuple[float, float], n: int = 9) -> dict[str, Any]:
    values = [0.0] * n
    values[n // 2] = peak
    return {"tokens": [f" t{i}" for i in range(n)], "values": values, "binMin": bounds[0], "binMax": bounds[1]}


def answer(**changes: Any) -> dict[str, Any]:
    """As the site answers (study/neuronpedia.md §2), with more than is read."""
    return {
        "modelId": "gemma-2-2b",
        "layer": f"20-{SET}",
        "index": "15589",
        "sourceSetName": SET,
        "frac_nonzero": 0.0031,
        "pos_str": [" Texas", "<script>"],
        "pos_values": [1.5, 1.25],
        "neg_str": ["no"],
        "neg_values": [-0.5],
        "freq_hist_data_bar_heights": [3, 1],
        "activations": [example(3.0, (2, 4)), example(9.0, (8, 10)), example(2.5, (2, 4)), example(8.5, (8, 10), 400)],
        "explanations": [
            {"description": "Texas and its cities", "typeName": "oai_token-act-pair", "explanationModelName": "gpt-4o"}
        ],
    } | changes


@pytest.fixture
def records(settings: Settings, site: StandIn, tmp_path: Path) -> Iterator[PublicRecords]:
    site.answers[PATH] = (200, json.dumps(answer()).encode())
    yield made(settings, site, tmp_path)


def made(settings: Settings, site: StandIn, tmp_path: Path, key: str = KEY) -> PublicRecords:
    settings = dataclasses.replace(settings, neuronpedia=site.address, neuronpedia_key=key)
    return PublicRecords(settings, FactCache(tmp_path / "facts", 10_000_000))


def asked(records: PublicRecords, name: FeatureName = NAME) -> None:
    records.ask(name)
    until(lambda: not records.reading(name))


def test_what_is_asked_and_kept(records: PublicRecords, site: StandIn, settings: Settings, tmp_path: Path) -> None:
    assert records.kept(NAME) is None and site.seen == []  # never by itself
    asked(records)
    assert records.failure(NAME) is None
    ((method, path, headers, body),) = site.seen
    assert (method, path, headers["X-Api-Key"], body) == ("GET", PATH, KEY, b"")
    site.shutdown()
    found = made(settings, site, tmp_path, key="").kept(NAME)  # another process, offline, without a key
    assert found is not None and found.frac_nonzero == 0.0031
    assert [e.peak for e in found.activations] == [9.0, 8.5, 3.0, 2.5]
    assert [e.peak for e in found.of_each_size()] == [9.0, 3.0]
    assert len(found.activations[1].tokens) == 120 and found.activations[1].values[60] == 8.5
    assert (found.pos_str, found.pos_values) == ([" Texas", "<script>"], [1.5, 1.25])
    assert [e.description for e in found.explanations] == ["Texas and its cities"]


def test_without_a_key_nobody_is_asked(
    records: PublicRecords, site: StandIn, settings: Settings, tmp_path: Path
) -> None:
    without = made(settings, site, tmp_path, key="")
    without.ask(NAME)
    assert not without.can_ask and not without.reading(NAME) and site.seen == []


def test_two_who_ask_at_once_ask_once(records: PublicRecords, site: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(site, "answer", lambda *_: go.wait(5) and (200, answer()))
    site.answers.clear()
    records.ask(NAME)
    until(lambda: site.seen)
    records.ask(NAME)
    assert records.reading(NAME)
    go.set()
    until(lambda: not records.reading(NAME))
    assert len(site.seen) == 1 and records.kept(NAME) is not None


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, b"{}", "refused the key"),
        (403, b"<script>alert(1)</script>", "refused the key"),
        (404, b"{}", "does not have this feature"),
        (429, b"{}", "no more requests for now"),
        (500, b"oops\n" + KEY.encode(), "an error \\(500\\)"),
        (302, b"", "an error \\(302\\)"),  # to nowhere
        (200, b"<html>", "not as Neuronpedia writes it"),
        (200, b"null", "not as Neuronpedia writes it"),
        (200, b"[" * 100_000, "not as Neuronpedia writes it"),
        (200, b"\xff\xfe", "not as Neuronpedia writes it"),
        (200, answer(index=7), "about another feature"),
        (200, answer(modelId="gpt2"), "about another feature"),
        (200, answer(index=[1]), "index"),
        (200, answer(activations={"tokens": 1}), "activations"),
        (200, answer(activations=[{"tokens": ["a"], "values": [1, 2]}]), "different lengths"),
        (200, answer(activations=[{"tokens": [], "values": []}]), "tokens"),
        (200, answer(activations=[{"tokens": ["a" * 501], "values": [1]}]), "tokens"),
        (200, answer(pos_values=[float("nan"), 1]), "pos_values"),
        (200, answer(pos_values=[1]), "different lengths"),
        (200, answer(explanations=[{"description": {"a": 1}}]), "description"),
    ],
)
def test_what_goes_wrong_is_one_line(
    records: PublicRecords, site: StandIn, status: int, body: Any, message: str
) -> None:
    site.answers[PATH] = (status, body if isinstance(body, bytes) else json.dumps(body).encode())
    asked(records)
    failure = records.failure(NAME)
    assert failure is not None and re.search(message, failure)
    assert "\n" not in failure and KEY not in failure and len(failure) < 300
    assert records.kept(NAME) is None
    site.answers[PATH] = (200, json.dumps(answer()).encode())
    asked(records)
    assert records.failure(NAME) is None and records.kept(NAME) is not None


def test_an_answer_that_is_too_long_is_not_read(
    records: PublicRecords, site: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_records, "MOST_BYTES", 500)
    asked(records)
    assert "and was not read" in str(records.failure(NAME))


def test_a_site_that_says_nothing_or_is_not_there(
    records: PublicRecords, site: StandIn, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_records, "SECONDS", 0.2)
    site.answers.clear()
    monkeypatch.setattr(site, "answer", lambda *_: threading.Event().wait(1) or (200, {}))
    asked(records)
    assert "can't be reached, or is too slow" in str(records.failure(NAME))
    gone = PublicRecords(
        dataclasses.replace(settings, neuronpedia="http://127.0.0.1:1", neuronpedia_key=KEY),
        FactCache(tmp_path / "other", 1_000_000),
    )
    asked(gone)
    assert "127.0.0.1:1 can't be reached" in str(gone.failure(NAME))


def test_a_site_that_drips_is_left(records: PublicRecords, site: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, the whole never."""
    monkeypatch.setattr(public_records, "SECONDS", 0.3)
    handler = site.RequestHandlerClass
    left = threading.Event()

    def drip(self: Any) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        try:
            while not left.wait(0.05):
                self.wfile.write(b" ")
        except OSError:
            left.set()

    monkeypatch.setattr(handler, "do_GET", drip)
    asked(records)
    assert "too slow" in str(records.failure(NAME))
    until(left.is_set)


def test_a_key_that_cannot_be_sent_is_not_shown(
    site: StandIn, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    records = made(settings, site, tmp_path, key="s3cret\nkey")
    asked(records)
    assert "characters that can't be sent" in str(records.failure(NAME)) and site.seen == []
    assert "s3cret" not in caplog.text + str(records.failure(NAME))


@pytest.mark.parametrize(
    ("location", "followed"), [(PATH + "?again", True), ("http://example.invalid/x", False), (PATH, False)]
)
def test_the_key_goes_to_no_other_site(
    records: PublicRecords, site: StandIn, monkeypatch: pytest.MonkeyPatch, location: str, followed: bool
) -> None:
    handler = site.RequestHandlerClass
    real = handler.do_GET  # type: ignore[attr-defined]

    def redirect(self: Any) -> None:
        if self.path != PATH:
            self.path = PATH
            real(self)
            return
        self.send_response(308)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    monkeypatch.setattr(handler, "do_GET", redirect)
    asked(records)
    assert (records.kept(NAME) is not None) is followed
    if not followed:
        assert "check HYPOGRAPH_NEURONPEDIA" in str(records.failure(NAME))


def test_what_is_kept_is_looked_at_too(settings: Settings, site: StandIn, tmp_path: Path) -> None:
    records = made(settings, site, tmp_path)
    records._facts.put(records._key(NAME), '{"modelId": 1}')
    assert records.kept(NAME) is None and records._facts.get(records._key(NAME)) is None


def test_which_features_are_there() -> None:
    meta = {"model": "gemma-2-2b", "features": "mntss/gemma-scope-transcoders"}
    assert name_there(meta, 20, 15589) == NAME
    assert name_there(meta | {"model": "google/gemma-2-2b"}, 20, 15589) == NAME
    assert name_there({"model": "gemma-3-270m", "features": "neurons"}, 13, 1012) is None
    assert name_there({"model": "gemma-2-2b", "features": "neurons"}, 13, 1012) is None
    assert name_there({"model": "gemma-2-2b", "features": ""}, 13, 1012) is None
    assert name_there({"model": "a/folder", "features": "mntss/gemma-scope-transcoders"}, 1, 2) is None
    assert neuronpedia_set("gemma-2-2b", "clt-2.5m") == ("gemma-2-2b", "clt-hp")
    assert neuronpedia_set("gemma-2-2b", "clt-426k") is None
    called = {
        (preset.name, source.neuronpedia)
        for preset in PRESETS.values()
        for source in preset.features
        if source.neuronpedia
    }
    assert called == {
        ("gemma-2-2b", SET),
        ("gemma-2-2b", "clt-hp"),
        ("qwen3-4b", "transcoder-hp"),
        ("gemma-3-4b-it", "gemmascope-2-transcoder-16k"),
        ("gemma-3-4b-it", "gemmascope-transcoder-262k"),
    }
