"""A visitor without a browser: cookies, plain HTTP, and Streamlit's own websocket, with whatever headers one likes."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

PATIENCE = 180.0  # seconds
ENDED = ForwardMsg.FINISHED_SUCCESSFULLY


class Tab:
    """A websocket, and all that came over it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.came: list[ForwardMsg] = []

    def ask(self, path: str = "", query: str = "", page_hash: str = "", click: str = "") -> "Tab":
        """Run a page to its end. `click`: the id of a button."""
        asked = BackMsg()
        asked.rerun_script.page_name = path
        asked.rerun_script.query_string = query
        asked.rerun_script.page_script_hash = page_hash
        if click:
            asked.rerun_script.widget_states.widgets.add(id=click, trigger_value=True)
        return self.send(asked)

    def send(self, asked: BackMsg) -> "Tab":
        self.connection.send(asked.SerializeToString())
        while True:
            message = ForwardMsg.FromString(self.connection.recv(PATIENCE))  # type: ignore[arg-type]
            self.came.append(message)
            if message.WhichOneof("type") == "script_finished" and message.script_finished == ENDED:
                return self

    @property
    def said(self) -> str:
        """Every text in every message, as it stands in the protocol."""
        return "\n".join(map(str, self.came))

    def buttons(self) -> dict[str, str]:
        """Ids by label."""
        elements = [m.delta.new_element for m in self.came if m.WhichOneof("type") == "delta"]
        return {e.button.label: e.button.id for e in elements if e.WhichOneof("type") == "button"}

    def pages(self) -> dict[str, str]:
        """Hashes by path, as the navigation told them."""
        told = [m.navigation for m in self.came if m.WhichOneof("type") == "navigation"]
        return {page.url_pathname: page.page_script_hash for page in told[-1].app_pages} if told else {}

    def redirects(self) -> list[str]:
        """To a login or a logout."""
        return [m.auth_redirect.url for m in self.came if m.WhichOneof("type") == "auth_redirect"]

    @property
    def session(self) -> str:
        """The id that uploads are for."""
        return next(m.new_session.initialize.session_id for m in self.came if m.WhichOneof("type") == "new_session")


class Visitor:
    def __init__(self, address: str) -> None:
        self.address = address
        self.http = httpx.Client(base_url=address, timeout=PATIENCE)
        self.http.get("/_stcore/health")  # sets the token against forged requests, as for any page

    @property
    def token(self) -> str:
        return self.http.cookies.get("_streamlit_xsrf") or ""

    @contextmanager
    def tab(
        self, origin: str | None = "own", host: str = "", cookies: str = "own", token: str = "own"
    ) -> Iterator[Tab]:
        """As a browser opens it, but for what is given."""
        place = urlsplit(self.address)
        own = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        cookies = own if cookies == "own" else cookies
        with socket.create_connection((place.hostname or "", place.port or 0)) as line:
            connection = connect(
                f"ws://{host or place.netloc}/_stcore/stream",
                sock=line,
                origin=self.address if origin == "own" else origin,  # type: ignore[arg-type]
                subprotocols=["streamlit", *filter(None, [self.token if token == "own" else token])],  # type: ignore[list-item]
                additional_headers={"Cookie": cookies} if cookies else {},
                max_size=None,
            )
            with connection:
                yield Tab(connection)

    def log_in(self, name: str) -> "Visitor":
        """At the provider of the tests, as somebody there."""
        self.http.get(self.answer(name))
        return self

    def answer(self, name: str) -> str:
        """Path and query to which the provider sends them back."""
        with self.tab() as tab:
            tab.ask().ask(click=tab.buttons()["Log in"])
            (way,) = tab.redirects()
        at_provider = self.http.get(way).headers["location"]
        back = httpx.post(at_provider, data={"sub": name}).headers["location"]
        return re.sub(r"^https?://[^/]+", "", back)

    def close(self) -> None:
        self.http.close()
