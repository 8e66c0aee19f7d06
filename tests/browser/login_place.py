"""The dashboard with a login, at PyPI's provider of the tests or another one, and the people of its lab."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from oidc_provider_mock import User, run_server_in_thread

from tests.browser.serving import free_port, serving

COOKIE_SECRET = "no secret: it is of the tests alone"
CLIENT_SECRET = "a secret of the tests"


@dataclass
class Place:
    address: str
    home: Path


@contextmanager
def dashboard(
    folder: Path, model: Path, port: int, provider: str, secret: str = CLIENT_SECRET, **more: str
) -> Iterator[Place]:
    """With a login at this provider, for people of lab.example. `more`: settings."""
    secrets = folder / "secrets.toml"
    secrets.write_text(
        "[auth]\n"
        + "".join(
            f"{name} = {json.dumps(value)}\n"
            for name, value in {
                "redirect_uri": f"http://127.0.0.1:{port}/oauth2callback",
                "cookie_secret": COOKIE_SECRET,
                "client_id": "hypograph",
                "client_secret": secret,
                "server_metadata_url": f"{provider}/.well-known/openid-configuration",
            }.items()
        )
        + 'client_kwargs = {prompt = "login"}\n'  # Streamlit's own "select_account" is not known to every provider
    )
    settings = {
        "HYPOGRAPH_MODEL": str(model),
        "HYPOGRAPH_ALLOWED": "lab.example",
        "HYPOGRAPH_ADMINS": "ada@lab.example",
        "HYPOGRAPH_DASHBOARDS": "0",
        "STREAMLIT_SECRETS_FILES": str(secrets),
    }
    home = folder / "home"
    home.mkdir()
    with serving(home, port, **settings | more) as server:
        yield Place(server.address, home)


@contextmanager
def lab_of_three(folder: Path, model: Path, **more: str) -> Iterator[Place]:
    """Ada is an admin, Ben is not, Eve is not of the lab. `more`: settings."""
    people = [
        User(sub=name, claims={"name": name.title(), "email": address, "email_verified": True})
        for name, address in (("ada", "ada@lab.example"), ("ben", "ben@lab.example"), ("eve", "eve@other.example"))
    ]
    with run_server_in_thread(user_claims=people) as provider:
        at = f"http://127.0.0.1:{provider.server_port}"
        with dashboard(folder, model, free_port(), at, **more) as place:
            yield place
