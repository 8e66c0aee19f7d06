"""What Streamlit tells the browser of the theme is what it would read anew."""

import pytest
from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session

from ui import theme_once


@pytest.mark.parametrize("section", ["theme", "theme.light", "theme.dark", "theme.sidebar", "theme.dark.sidebar"])
def test_a_section_is_told_as_it_is_read(section: str) -> None:
    read, told = CustomThemeConfig(), CustomThemeConfig()
    theme_once._read(read, section)
    for _ in range(2):
        told.Clear()
        theme_once._tell(told, section)
        assert told == read


def test_a_section_that_says_nothing_stays_unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theme_once, "_section", lambda name: CustomThemeConfig())
    message = CustomThemeConfig()
    theme_once._tell(message.light, "theme.light")
    assert not message.HasField("light")


def test_it_takes_the_place_of_streamlits_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_session, "_populate_theme_msg", theme_once._read)
    theme_once.read_theme_once()
    assert app_session._populate_theme_msg is theme_once._tell
