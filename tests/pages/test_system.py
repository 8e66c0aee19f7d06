"""The System page in each of its states."""

from tests.pages.conftest import Loading, button, open_page, ready, running, sound, texts, traced, until


def said(app) -> str:
    return "\n".join(frame.value.to_csv() for frame in app.dataframe)


def test_while_the_model_loads(loading: Loading) -> None:
    loading.go.clear()
    app = open_page("pages/system.py")
    assert "state,loading" in said(app)


def test_after_a_failed_load(loading: Loading) -> None:
    loading.trouble = "there is no such model: choose another"
    running()
    until(lambda: running().model_state().state == "failed")
    app = open_page("pages/system.py")
    assert "state,failed" in said(app) and "there is no such model" in said(app)


def test_ready(loading: Loading) -> None:
    ready()
    app = open_page("pages/system.py")
    for words in ("state,ready", "neurons", "cpu", "0 running, 0 waiting", "streamlit,1.67.0", "HYPOGRAPH_MAX_TOKENS"):
        assert words in said(app), words
    assert "Gemma Terms of Use" in texts(app) and "Apache-2.0" in texts(app) and "MIT" in texts(app)


def test_the_cache_can_be_cleared(loading: Loading) -> None:
    traced()
    app = open_page("pages/system.py")
    assert "graphs,1" in said(app)
    button(app, "Remove all graphs").click()
    sound(app.run())
    assert len(running().cache) == 0
