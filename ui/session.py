"""What every page starts from: the one service of this server, and who is asking."""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from cache import CacheError
from lab import Lab, LabDatabaseError, LabError, Person, Role
from service import NotAdmitted, Service, Settings, SettingsError
from service.monitor import MONITOR, health_app
from ui.login import admitted, current, shown
from ui.server_log import start_log

APP = "app"
"""Says in the state of a tab that app.py runs there."""


@st.cache_resource(show_spinner=False)
def _settings() -> Settings:
    return Settings.from_env()


@st.cache_resource(show_spinner=False)
def _log() -> None:
    """Before anybody is let in: what goes wrong at the login is written as all else is."""
    start_log(_settings())


@st.cache_resource(show_spinner=False)
def _service() -> Service:
    settings = _settings()
    service = Service(settings, lab=_lab())
    service.start()
    if settings.metrics_port is not None:
        MONITOR.serve(settings.metrics_port, health_app(service.not_ready, service.metrics.registry))
    return service


@st.cache_resource(show_spinner=False)
def _lab() -> Lab:
    return Lab(_settings().database)


def get_service() -> Service:
    """The service, started with the server's first page. Stops the page with one line if it can't be, and with the
    login where nobody is known who may be here."""
    _through_app()
    try:
        _log()
        admitted()
        return _service()
    except (CacheError, LabDatabaseError, SettingsError) as problem:
        st.error(f"Hypograph can't start: {problem}.")
        st.stop()


def _through_app() -> None:
    """Bring back app.py where Streamlit has left it out.

    Until it has called st.navigation once, the folder pages/ makes this an older kind of app to Streamlit, which runs a
    page that is asked for by its link alone: no sidebar, no style. End that, and run again: in each tab, as several may
    come at once after a restart.
    """
    if APP not in st.session_state:
        PagesManager.uses_pages_directory = False
        st.rerun()


def get_lab() -> Lab:
    """The record of what people write; `get_service` has seen that it can be used."""
    return _lab()


def me() -> Person:
    """Who is asking, with the role that they have now. Stops the page where nobody is who may be here, or where the
    record can't be asked."""
    login = admitted()
    if login.issuer == "local":
        return _at_this_machine(login.subject)
    try:
        return _lab().person(login.issuer, login.subject, login.name, login.role, always=login.always)
    except LabError as problem:
        st.error(shown(str(problem)))
        st.stop()


def role() -> Role | None:
    """Of whoever is asking; None where that is nobody who may be here, or where it can't be known now."""
    try:
        return None if current() is None else me().role
    except (CacheError, LabError, LabDatabaseError, NotAdmitted, SettingsError):
        return None


@st.cache_resource(max_entries=1000, show_spinner=False)
def _at_this_machine(user: str) -> Person:
    return _lab().person("local", user, user, Role.ADMIN, always=True)
