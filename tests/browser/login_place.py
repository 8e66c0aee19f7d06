"""The dashboard with a login, at PyPI's provider of the tests or another one, and the people of its lab."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oidc_provider_mock import User, run_server_in_thread
from playwright.sync_api import Page

from tests.serving import Server, free_port, serving

COOKIE_SECRET = "no secret: it is of the tests alone"
CLIENT_SECRET = "a secret of the tests"
HOSTILE_NAME = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) **b** :red[z]"


@dataclass
class Place:
    server: Server
    home: Path

    @property
    def address(self) -> str:
        return self.server.address


@contextmanager
def dashboard(
    folder: Path, model: Path | str, port: int, provider: str, secret: str = CLIENT_SECRET, **more: Any
) -> Iterator[Place]:
    """With a login at this provider, for people of lab.example; on what `folder` holds, if it was one's before. `more`:
    of `serving`, settings too."""
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
        "STREAMLIT_SECRETS_FILES": str(secrets),
    }
    home = folder / "home"
    home.mkdir(exist_ok=True)
    with serving(home, port=port, **settings | more) as server:
        yield Place(server, home)


@contextmanager
def provider_of_people() -> Iterator[str]:
    """Its address. Ada is an admin of `dashboard`, Ben and Mal are not, Eve is not of its lab."""
    people = [
        User(sub=sub, claims={"name": name, "email": address, "email_verified": True})
        for sub, name, address in (
            ("ada", "Ada", "ada@lab.example"),
            ("ben", "Ben", "ben@lab.example"),
            ("mal", HOSTILE_NAME, "mal@lab.example"),
            ("eve", "Eve", "eve@other.example"),
        )
    ]
    with run_server_in_thread(user_claims=people) as provider:
        yield f"http://127.0.0.1:{provider.server_port}"


@contextmanager
def lab_of_three(folder: Path, model: Path, **more: Any) -> Iterator[Place]:
    """`more`: of `serving`, settings too."""
    with provider_of_people() as provider, dashboard(folder, model, free_port(), provider, **more) as place:
        yield place


def log_in(page: Page, place: Place, name: str) -> None:
    page.goto(place.address)
    page.get_by_role("button", name="Log in", exact=True).click(timeout=60_000)  # perhaps the server's first page
    page.get_by_placeholder("sub").fill(name)
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"{place.address}/**")
