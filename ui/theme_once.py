"""Streamlit (1.67) tells each run what theme there is, a fragment's too, and reads all its settings anew for that.

With 50 open pages, whose sidebars look each second what is going on, that was a fifth of all that the server did. The
theme stays as it is while the server runs.
"""

from functools import cache

from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session

_read = app_session._populate_theme_msg


def read_theme_once() -> None:
    """In this process, from now on."""
    app_session._populate_theme_msg = _tell  # type: ignore[assignment]


def _tell(message: CustomThemeConfig, section: str = "theme") -> None:
    if (known := _section(section)).ByteSize():
        message.MergeFrom(known)


@cache
def _section(name: str) -> CustomThemeConfig:
    found = CustomThemeConfig()
    _read(found, name)
    return found
