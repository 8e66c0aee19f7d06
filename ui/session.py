"""What every page starts from: the one service of this server, and who is asking."""

import getpass
import os

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from cache import CacheError
from service import Service, Settings, SettingsError


@st.cache_resource(show_spinner=False)
def _service() -> Service:
    service = Service(Settings.from_env())
    service.start()
    return service


def get_service() -> Service:
    """The service, started with the server's first page. Stops the page with one line if it can't be."""
    _through_app()
    try:
        return _service()
    except (CacheError, SettingsError) as problem:
        st.error(f"Hypograph can't start: {problem}.")
        st.stop()


def _through_app() -> None:
    """Bring back app.py where Streamlit has left it out.

    Until it has called st.navigation once, the folder pages/ makes this an older kind of app to Streamlit, which runs a
    page that is asked for by its link alone: no sidebar, no style. End that, and run again.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()


def person() -> str:
    """Who is asking, until there are logins: HYPOGRAPH_USER, or the user of the operating system."""
    return f"local:{os.environ.get('HYPOGRAPH_USER') or getpass.getuser()}"
