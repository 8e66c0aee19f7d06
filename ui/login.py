"""Who is asking: somebody who logged in at a provider, somebody whom a proxy names, or whoever sits at this machine."""

import ipaddress
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import streamlit as st

from lab import Role
from service import Access, Login, NotAdmitted, SettingsError, local_user
from service.access import PROXY_HEADER
from ui.uploads import let_upload

Way = Literal["provider", "proxy", "local"]


@st.cache_resource(show_spinner=False)
def access() -> Access:
    """Raises SettingsError."""
    return Access.from_env()


def way() -> Way:
    """How people come in here. Raises SettingsError where two ways are set, or where none is and others reach it.

    Without a login the address that the browser asked for must be this machine's too: a page elsewhere whose name is
    made to lead here (DNS rebinding) would else be taken for ours, as its origin is the host that it asks for.
    """
    by_provider, by_proxy = bool(_auth()), bool(access().user_header)
    if by_provider and by_proxy:
        raise SettingsError("both a login ([auth] in secrets.toml) and HYPOGRAPH_USER_HEADER are set: choose one")
    if by_provider or by_proxy:
        return "provider" if by_provider else "proxy"
    if not _is_loopback(st.get_option("server.address")):
        raise SettingsError(
            "without a login it may only listen on this machine: set the address to 127.0.0.1, or set up [auth]"
        )
    if not all(_is_loopback(_without_port(host)) for host in st.context.headers.get_all("Host")):
        raise SettingsError("without a login it is opened as http://localhost or http://127.0.0.1 alone, with its port")
    return "local"


def current() -> Login | None:
    """None: they have not logged in. Raises NotAdmitted, SettingsError."""
    came = way()
    if came == "local":
        return Login("local", local_user(), local_user(), Role.ADMIN, always=True)
    if came == "proxy":
        return access().of_headers(_headers(access().user_header, PROXY_HEADER))
    claims = _claims()
    return access().of_claims(claims) if claims else None


def admitted() -> Login:
    """Stops the page unless somebody is here who may be: with the login, or the reason in one line."""
    try:
        login = current()
    except SettingsError as problem:
        st.error(f"Hypograph can't start: {problem}.")
        st.stop()
    except NotAdmitted as refusal:
        st.title("Hypograph")
        st.error(shown(str(refusal)))
        if way() == "provider":
            st.button("Log out", key="refused_logout", on_click=st.logout)
        st.stop()
    if login is None:
        st.title("Hypograph")
        st.write("This server is for people its lab knows.")
        for provider in _providers():
            name = f" with {provider}" if provider else ""
            if st.button(f"Log in{name}", type="primary", key=f"login_{provider}"):
                st.login(provider)
        st.stop()
    let_upload()
    return login


def shown(text: str) -> str:
    """As a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def _auth() -> Mapping[str, Any]:
    """The section of secrets.toml; empty where there is none."""
    return st.secrets["auth"] if st.secrets.load_if_toml_exists() and "auth" in st.secrets else {}


def _providers() -> list[str | None]:
    """None: the one that has no name."""
    section = _auth()
    named = [name for name, value in section.items() if isinstance(value, Mapping) and "client_id" in value]
    return [None, *named] if "client_id" in section else list(named)


def _claims() -> dict[str, Any]:
    """What the provider says of whoever logged in; empty where nobody has."""
    return st.user.to_dict() if st.user.is_logged_in else {}


def _headers(*names: str) -> dict[str, str]:
    """Those that came once: one that came twice was not written by the proxy alone."""
    found = {name: st.context.headers.get_all(name) for name in names}
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _is_loopback(address: str | None) -> bool:
    try:
        return address == "localhost" or ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str | None:
    """The name in a Host header, None where it is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
