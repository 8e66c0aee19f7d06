"""Who may come in, and as what: from the claims of a login provider, or a header that a proxy sets. Pure rules; knows
neither Streamlit nor the record.
"""

import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab import NotAllowed, Person, Role
from service.jobs import Refused
from service.settings import SettingsError

PROXY_HEADER = "X-Hypograph-Proxy"
"""Holds the secret by which a proxy shows that it is the one whose header is believed."""

_ENTRY = re.compile(r"[^@\s,]+@[^@\s,]+|[^@\s,]+\.[^@\s,]+|localhost|\*")


@dataclass(frozen=True)
class Login:
    """Somebody who may come in."""

    issuer: str
    subject: str
    name: str
    role: Role  # of somebody new
    always: bool = False  # also of somebody who was here before


class NotAdmitted(Exception):
    """Somebody who may not. The message is one line for them."""


@dataclass(frozen=True)
class Access:
    allowed: tuple[str, ...]  # mail addresses, or the domains of such; "*": everybody whom the provider lets in
    admins: tuple[str, ...]  # mail addresses, or names that the proxy gives
    role: Role  # of somebody new
    user_header: str  # the one in which a proxy says who is asking; empty: none is believed
    proxy_secret: str = field(repr=False)

    @classmethod
    def from_env(cls) -> "Access":
        """Raises SettingsError."""
        environment = os.environ
        role = environment.get("HYPOGRAPH_ROLE") or Role.VIEWER
        if role not in (Role.VIEWER, Role.EDITOR):
            raise SettingsError(f"HYPOGRAPH_ROLE is {role!r}: it must be viewer or editor")
        allowed = _entries(environment, "HYPOGRAPH_ALLOWED")
        for entry in allowed:
            if not _ENTRY.fullmatch(entry):
                raise SettingsError(
                    f"HYPOGRAPH_ALLOWED has {entry!r}: give mail addresses or domains with commas between, or *"
                )
        header = environment.get("HYPOGRAPH_USER_HEADER", "").strip()
        secret = environment.get("HYPOGRAPH_PROXY_SECRET", "").strip()
        if header and len(secret) < 16:
            raise SettingsError(
                "HYPOGRAPH_USER_HEADER is set: set HYPOGRAPH_PROXY_SECRET too (16 characters or more), which the proxy"
                f" sends as {PROXY_HEADER}, or anybody could write that header"
            )
        return cls(allowed, _entries(environment, "HYPOGRAPH_ADMINS"), Role(role), header, secret)

    def of_claims(self, claims: Mapping[str, Any]) -> Login:
        """Of OpenID Connect: `iss`, `sub`, `email`, `email_verified`, `name`. Raises NotAdmitted."""
        issuer, subject = claims.get("iss"), claims.get("sub")
        if not isinstance(issuer, str) or not isinstance(subject, str) or not issuer or not subject:
            raise NotAdmitted("the login provider did not say who you are: tell whoever runs this server")
        said = claims.get("email")
        address = said.strip().lower() if isinstance(said, str) and said.count("@") == 1 else ""
        if self.allowed != ("*",) or address in self.admins:
            self._check_address(address, claims.get("email_verified"))
        name = claims.get("name")
        return self._login(issuer, subject, name if isinstance(name, str) and name.strip() else address, address)

    def of_headers(self, headers: Mapping[str, str]) -> Login:
        """Of a request that came through the proxy. Raises NotAdmitted."""
        secret = headers.get(PROXY_HEADER, "")
        if not self.user_header or not hmac.compare_digest(secret.encode(), self.proxy_secret.encode()):
            raise NotAdmitted("this server is reached through its proxy only: use the address you were given")
        user = headers.get(self.user_header, "").strip()
        if not user:
            raise NotAdmitted("the proxy did not say who you are: tell whoever runs this server")
        return self._login("proxy", user, user, user.lower())

    def _login(self, issuer: str, subject: str, name: str, known_as: str) -> Login:
        chief = known_as in self.admins
        shown = " ".join(name.split())[:200] or "(no name)"
        return Login(issuer, subject, shown, Role.ADMIN if chief else self.role, always=chief)

    def _check_address(self, address: str, verified: object) -> None:
        if not address:
            raise NotAdmitted("the login provider did not give your mail address, by which this server lets people in")
        if verified not in (True, "true"):
            raise NotAdmitted(f"the login provider does not say that {address} is yours: confirm it there first")
        domain = address.rpartition("@")[2]
        if not {address, domain} & {*self.allowed, *self.admins} and self.allowed != ("*",):
            raise NotAdmitted(f"this server does not let {address} in: ask whoever runs it")


def _entries(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = (entry.strip().lower().removeprefix("@") for entry in environment.get(name, "").split(","))
    return tuple(entry for entry in found if entry)


def check_role(person: Person, needed: Role) -> None:
    """Raises Refused where this person's role doesn't reach."""
    try:
        person.role.check(needed)
    except NotAllowed as problem:
        raise Refused(str(problem)) from problem
