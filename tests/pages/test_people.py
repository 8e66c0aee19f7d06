"""People and Privacy, and what a viewer meets on the other pages. Streamlit's claims of a login are set by hand here;
tests/browser/test_login.py gets them from providers."""

from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import ui.login
from lab import About, CircuitBody, Lab, LabelBody, LabError, Role
from service import Access, SettingsError, TraceRequest
from tests.pages.conftest import button, open_page, ready, sound, texts, traced
from ui.session import get_lab

ISSUER = "https://login.example"


class Logins:
    """Who is at the keyboard."""

    def __init__(self) -> None:
        self.name: str | None = None

    def claims(self) -> dict[str, Any]:
        if self.name is None:
            return {}
        address = f"{self.name}@lab.example"
        return {"iss": ISSUER, "sub": self.name, "name": self.name.title(), "email": address, "email_verified": True}


@pytest.fixture
def logins(loading: Any, monkeypatch: pytest.MonkeyPatch) -> Logins:
    logins = Logins()
    access = Access(("lab.example",), ("ada@lab.example",), Role.VIEWER, "", "")
    monkeypatch.setattr(ui.login, "_auth", lambda: {"client_id": "x"})
    monkeypatch.setattr(ui.login, "_claims", logins.claims)
    monkeypatch.setattr(ui.login, "access", lambda: access)
    return logins


def known() -> Lab:
    return get_lab()


def test_an_admin_gives_a_role_and_merges(logins: Logins) -> None:
    logins.name = "ben"
    open_page("pages/library.py")
    logins.name = "ada"
    lab = known()
    old = lab.person("local", "ben", "ben")
    lab.create(old, About(graph="g", node="n"), LabelBody(text="mine"))
    app = open_page("pages/people.py")
    (role,) = [box for box in app.selectbox if box.label == "Role of Ben"]
    assert role.value is Role.VIEWER
    role.select(Role.EDITOR).run()
    ben = lab.person(ISSUER, "ben", "Ben")
    assert ben.role is Role.EDITOR

    box = {one.label: one for one in app.selectbox}
    box["This login"].select(old.id).run()
    {one.label: one for one in app.selectbox}["is this person's"].select(ben.id).run()
    assert button(app, "Merge").disabled  # it can't be undone
    app.checkbox[0].check().run()
    button(app, "Merge").click().run()
    assert not app.exception
    assert "ben at local" in texts(app)
    assert [record.owner.id for record in lab.find("label", ben)] == [ben.id]


def test_the_last_admin_stays_one(logins: Logins) -> None:
    logins.name = "ada"
    app = open_page("pages/people.py")
    (role,) = [box for box in app.selectbox if box.label == "Role of Ada"]
    role.select(Role.VIEWER).run()
    assert [toast.value for toast in app.toast] == ["Then nobody would be an admin\\: make somebody else one first."]
    assert [box.value for box in app.selectbox if box.label == "Role of Ada"] == [Role.ADMIN]


def test_a_viewer_is_told_and_changes_nothing(logins: Logins) -> None:
    logins.name = "ada"
    open_page("pages/system.py")
    key = traced()
    logins.name = "vic"
    app = open_page("pages/people.py")
    assert "this is for an admin" in texts(app) and not app.selectbox
    app = open_page("pages/system.py")
    button(app, "Remove all graphs").click().run()
    assert "this is for an admin" in texts(app)
    assert ready().graph(key) is not None
    app = open_page()
    app.text_input(key="prompt").set_value("w7 w8").run()
    button(app, "Trace").click().run()
    assert "your role here is viewer" in texts(app)
    assert len(ready().jobs()) == 1


def test_other_peoples_private_circuits_stay_theirs(logins: Logins) -> None:
    logins.name = "ben"
    open_page("pages/system.py")
    ben = known().person(ISSUER, "ben", "Ben", Role.EDITOR, always=True)
    body = CircuitBody(title="My secret idea")
    own = known().create(ben, About(graph="g"), body, "private")
    logins.name = "ada"  # an admin neither
    for page in (open_page("pages/library.py"), open_page("pages/graph.py", circuit=own.id)):
        assert not page.exception and "secret idea" not in texts(page)
    app = open_page("pages/hypotheses.py", write="new", circuit=own.id)
    assert "secret idea" not in texts(app)


def test_privacy_says_what_is_kept(logins: Logins) -> None:
    logins.name = "vic"
    app = open_page("pages/privacy.py")
    said = texts(app)
    assert (
        "Vic" in said
        and "own 0 records" in said
        and "in a cookie for 30 days" in said
        and "make purge PERSON=" in app.code[0].value
    )


def test_nobody_is_there(logins: Logins) -> None:
    app = open_page("pages/people.py")
    assert [b.label for b in app.button] == ["Log in"] and not app.selectbox


def test_without_a_login_it_listens_on_this_machine_alone(loading: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ui.login.way() == "local"
    for address in ("0.0.0.0", "", "192.168.1.2", "lab.example", "::"):
        monkeypatch.setattr(st, "get_option", lambda name, address=address: address)
        with pytest.raises(SettingsError, match="listen on this machine"):
            ui.login.way()
    for address in ("localhost", "127.0.0.1", "::1"):
        monkeypatch.setattr(st, "get_option", lambda name, address=address: address)
        assert ui.login.way() == "local"


def test_at_another_address_it_shows_nothing(loading: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "get_option", lambda name: "0.0.0.0")
    app: AppTest = open_page("pages/library.py")
    assert "it may only listen on this machine" in texts(app) and not app.button


def test_an_admin_holds_the_queue_and_cancels_what_waits(logins: Logins) -> None:
    logins.name = "ada"
    app = open_page("pages/system.py")
    (hold,) = [toggle for toggle in app.toggle if toggle.label == "Hold the queue"]
    assert "Nothing runs or waits" in texts(app)
    hold.set_value(True).run()
    service = ready()
    assert service.paused
    ben = known().person(ISSUER, "ben", "Ben", Role.EDITOR, always=True)
    job = service.submit(TraceRequest((0, 5, 6), prompt="w3 my secret w4"), ben)
    logins.name = "ben"
    theirs = open_page("pages/system.py")
    assert "queued, number 1; an admin holds the queue" in [p.proto.text for p in theirs.sidebar.get("progress")]
    assert "Hold the queue" not in [toggle.label for toggle in theirs.toggle]

    logins.name = "ada"
    app.run()
    assert "Ben: a trace of 3 tokens" in texts(app).replace("*", "") and "secret" not in texts(app)
    button(app, "Cancel").click().run()
    assert service.job(job.id).error == "Ada cancelled it"  # type: ignore[union-attr]
    (hold,) = [toggle for toggle in app.toggle if toggle.label == "Hold the queue"]
    hold.set_value(False).run()
    assert not service.paused


def test_a_record_that_does_not_answer_is_said(logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    logins.name = "ada"
    app = open_page("pages/library.py")

    def silent(*args: Any, **more: Any) -> Any:
        raise LabError("the record can't be read or written now, and nothing was changed: no answer")

    with monkeypatch.context() as broken:
        broken.setattr(Lab, "person", silent)
        app.run()
        assert not app.exception and "The record can't be read or written now" in texts(app)
    app.run()
    assert "can't be read" not in texts(sound(app))
