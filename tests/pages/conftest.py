"""The pages without a browser: the whole app in Streamlit's AppTest, with a real service on a tiny random model."""

import functools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

import tracer
import ui.session
from service import Service, TraceRequest
from tests.helpers import saved, tiny_llama, tokenizer

ROOT = Path(__file__).resolve().parents[2]
CHAT = "{% for m in messages %}{{ '<bos> ' + m['content'] }}{% endfor %}{% if add_generation_prompt %} w1{% endif %}"


class Loading:
    """A hand on the loading of the model."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.trouble: str | None = None

    def load(self, name: str, *, progress: Any, **settings: Any) -> tracer.ReplacementModel:
        progress("load", 0.5)
        while not self.go.wait(0.01):
            progress("load", 0.5)
        if self.trouble:
            raise tracer.TracerError(self.trouble)
        return tracer.load(name, progress=progress, **settings)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tiny_llama(), tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with a chat template."""
    folder = saved(tiny_llama(), tmp_path_factory.mktemp("tiny-chat"))
    with_template = tokenizer()
    with_template.chat_template = CHAT
    with_template.save_pretrained(folder)
    return folder


@pytest.fixture
def loading(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loading]:
    """A fresh home and the tiny model; no service before the first page asks for it, and none afterwards."""
    loading = Loading()
    monkeypatch.setenv("HYPOGRAPH_HOME", str(tmp_path))
    monkeypatch.setenv("HYPOGRAPH_MODEL", str(tiny))
    monkeypatch.setattr(ui.session, "Service", functools.partial(Service, load=loading.load))
    monkeypatch.setattr(PagesManager, "__init__", _not_the_first_page)
    forget()
    yield loading
    loading.go.set()
    service: Service = ui.session._service()
    assert service.stop(10)
    forget()


_init = PagesManager.__init__


def _not_the_first_page(self: PagesManager, *args: Any, **more: Any) -> None:
    """AppTest makes every run the server's first, for which ui/session.py has a way round (tests/browser tries it)."""
    _init(self, *args, **more)
    PagesManager.uses_pages_directory = False


def forget() -> None:
    st.cache_resource.clear()
    st.cache_data.clear()


def running() -> Service:
    """The service of the pages."""
    return ui.session._service()


def ready() -> Service:
    """The same, once its model is there."""
    service = running()
    until(lambda: service.model is not None)
    return service


def open_page(path: str = "pages/trace.py", **query: str) -> AppTest:
    """The app at a page; it has not failed."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30).run()
    if path != "pages/trace.py" or query:
        app.switch_page(path)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
    return sound(app)


def sound(app: AppTest) -> AppTest:
    assert not app.exception, [e.value for e in app.exception]
    return app


def texts(app: AppTest) -> str:
    """All that page and sidebar say, one element a line; without the backslashes that keep text from being Markdown."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "text", "error", "warning", "info", "success")
    said = [str(element.value) for kind in kinds for element in getattr(app, kind)]
    components = [element.proto for element in app.get("bidi_component")]
    heads = [json.loads(c.json)["shown"] for c in components if c.component_name == "hypograph_card_head"]
    said += [" ".join([head["name"], head["text"], *map(str, head["figures"])]) for head in heads]
    return "\n".join(said).replace("\\", "")


def button(app: AppTest, label: str) -> Any:
    (found,) = [b for b in app.button if b.label == label]
    return found


def until(found: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"it did not come true within {seconds} s")


def traced(prompt: str = "w4 w9 w2", **settings: Any) -> str:
    """Trace behind the page's back, with settings of a request; the key of the graph."""
    service = ready()
    assert service.model is not None
    request = TraceRequest(tokens=tuple(service.model.token_ids(prompt)), prompt=prompt, **settings)
    job = service.submit(request, ui.session.me())
    over = service.wait(job.id, 30)
    assert over is not None and over.error is None
    return job.key
