"""Who may come in: the rules, over claims and headers."""

from typing import Any

import pytest

from lab import Role
from service import Access, Login, NotAdmitted, Refused, SettingsError
from service.access import PROXY_HEADER, check_role
from tests.helpers import somebody

ISSUER = "https://login.example"
SECRET = "0123456789abcdef"


def access(**settings: Any) -> Access:
    return Access(
        **{"allowed": (), "admins": (), "role": Role.VIEWER, "user_header": "", "proxy_secret": ""} | settings
    )


def claims(**changes: Any) -> dict[str, Any]:
    return {"iss": ISSUER, "sub": "7", "email": "Ada@Lab.example", "email_verified": True, "name": "Ada"} | changes


@pytest.mark.parametrize("allowed", ["lab.example", "ada@lab.example", "*"])
def test_who_is_named_comes_in(allowed: str) -> None:
    assert access(allowed=(allowed,)).of_claims(claims()) == Login(ISSUER, "7", "Ada", Role.VIEWER)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"email": "eve@other.example"}, "does not let"),
        ({"email": "eve@notlab.example"}, "does not let"),
        ({"email": "eve@sub.lab.example"}, "does not let"),
        ({"email": "ada@lab.example@other.example"}, "did not give your mail address"),
        ({"email": "lab.example"}, "did not give your mail address"),
        ({"email": None}, "did not give your mail address"),
        ({"email": ["ada@lab.example"]}, "did not give your mail address"),
        ({"email_verified": False}, "does not say that ada@lab.example is yours"),
        ({"email_verified": None}, "does not say that ada@lab.example is yours"),
        ({"iss": None}, "did not say who you are"),
        ({"sub": ""}, "did not say who you are"),
    ],
)
def test_who_is_not_does_not(changes: dict[str, Any], why: str) -> None:
    named = access(allowed=("lab.example", "ada@lab.example"))
    with pytest.raises(NotAdmitted, match=why):
        named.of_claims(claims(**changes))


def test_nobody_is_named_nobody_comes_in() -> None:
    with pytest.raises(NotAdmitted, match="does not let"):
        access().of_claims(claims())


def test_everybody_of_the_provider_needs_no_address_but_an_admin_does() -> None:
    everybody = access(allowed=("*",), admins=("ada@lab.example",), role=Role.EDITOR)
    assert everybody.of_claims({"iss": ISSUER, "sub": "9"}) == Login(ISSUER, "9", "(no name)", Role.EDITOR)
    assert everybody.of_claims(claims()) == Login(ISSUER, "7", "Ada", Role.ADMIN, always=True)
    with pytest.raises(NotAdmitted, match="is yours"):
        everybody.of_claims(claims(email_verified=False))


def test_an_admin_comes_in_without_being_named_twice() -> None:
    assert access(admins=("ada@lab.example",)).of_claims(claims()).role is Role.ADMIN


def test_a_proxy_is_believed_by_its_secret_alone() -> None:
    proxied = access(user_header="X-User", proxy_secret=SECRET, admins=("ada",))
    assert proxied.of_headers({"X-User": "Ada", PROXY_HEADER: SECRET}) == Login("proxy", "Ada", "Ada", Role.ADMIN, True)
    assert proxied.of_headers({"X-User": "ben", PROXY_HEADER: SECRET}).role is Role.VIEWER
    for headers in (
        {"X-User": "Ada"},
        {"X-User": "Ada", PROXY_HEADER: ""},
        {"X-User": "Ada", PROXY_HEADER: SECRET + "0"},
    ):
        with pytest.raises(NotAdmitted, match="through its proxy only"):
            proxied.of_headers(headers)
    with pytest.raises(NotAdmitted, match="did not say who you are"):
        proxied.of_headers({PROXY_HEADER: SECRET, "X-User": " "})
    with pytest.raises(NotAdmitted, match="through its proxy only"):
        access().of_headers({"X-User": "Ada", PROXY_HEADER: ""})  # none is configured


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOGRAPH_ALLOWED", "@Lab.example, ada@other.example,")
    monkeypatch.setenv("HYPOGRAPH_ADMINS", "Ada@lab.example")
    found = Access.from_env()
    assert (found.allowed, found.admins) == (("lab.example", "ada@other.example"), ("ada@lab.example",))
    assert found.role is Role.VIEWER


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"HYPOGRAPH_ROLE": "admin"}, "must be viewer or editor"),
        ({"HYPOGRAPH_ALLOWED": "lab"}, "mail addresses or domains"),
        ({"HYPOGRAPH_USER_HEADER": "X-User"}, "HYPOGRAPH_PROXY_SECRET too"),
        ({"HYPOGRAPH_USER_HEADER": "X-User", "HYPOGRAPH_PROXY_SECRET": "short"}, "16 characters"),
    ],
)
def test_settings_that_are_none(settings: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said):
        Access.from_env()


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(access(user_header="X-User", proxy_secret=SECRET))


@pytest.mark.parametrize(
    ("has", "needs", "reaches"),
    [
        (Role.VIEWER, Role.VIEWER, True),
        (Role.VIEWER, Role.EDITOR, False),
        (Role.EDITOR, Role.EDITOR, True),
        (Role.EDITOR, Role.ADMIN, False),
        (Role.ADMIN, Role.ADMIN, True),
    ],
)
def test_how_far_a_role_reaches(has: Role, needs: Role, reaches: bool) -> None:
    if reaches:
        check_role(somebody("ada", has), needs)
    else:
        with pytest.raises(Refused, match=f"your role here is {has}, and this is for an {needs}"):
            check_role(somebody("ada", has), needs)
