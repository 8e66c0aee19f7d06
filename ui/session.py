"""What every page starts from: the one service of this server, and who is asking."""

import getpass
import os

import streamlit as st

from cache import CacheError
from service import Service, Settings, SettingsError


@st.cache_resource(show_spinner=False)
def _service() -> Service:
    service = Service(Settings.from_env())
    service.start()
    return service


def get_service() -> Service:
    """The service, started with the server's first page. Stops the page with one line if it can't be."""
    try:
        return _service()
    except (CacheError, SettingsError) as problem:
        st.error(f"Hypograph can't start: {problem}.")
        st.stop()


def person() -> str:
    """Who is asking, until there are logins: HYPOGRAPH_USER, or the user of the operating system."""
    return f"local:{os.environ.get('HYPOGRAPH_USER') or getpass.getuser()}"
