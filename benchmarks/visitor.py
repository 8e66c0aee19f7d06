"""A tab without a browser: it speaks Streamlit's websocket protocol as the browser's scripts do, and keeps the page.

It connects, runs a page, keeps what the server draws, runs fragments by their clocks, sends back what people click and
type. It draws nothing and runs no component's script: what a component would report is said by `report`. Used by
benchmarks/load.py, and by tests that need a real server and no picture.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PATIENCE = 120.0  # seconds
Found = TypeVar("Found")
Place = tuple[int, ...]  # of an element on the page

_SAYS = {"markdown": "body", "heading": "body", "text": "body", "alert": "body", "toast": "body", "progress": "text"}
_RERUN = ForwardMsg.FINISHED_EARLY_FOR_RERUN


class Visitor:
    """One tab, once it is opened by `visit`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._elements: dict[Place, tuple[Element, str, str]] = {}  # with the run that drew it, and its fragment
        self._cached: dict[str, ForwardMsg] = {}  # large messages, sent once
        self._values: dict[str, WidgetState] = {}
        self._clocks: dict[str, tuple[float, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()
        self._page_hash = ""
        self._run, self._fragments = "", list[str]()
        self.page = ""  # its path
        self.query = ""
        self.running = False
        self.runs = 0  # of the whole page, that came to their end
        self.toasts: list[str] = []
        self.troubles: list[str] = []  # what must not happen: an exception on the page, a connection that was lost
        self.connected = True

    # -- what is on the page ------------------------------------------------------------------------------------------

    def elements(self, kind: str) -> list[Any]:
        """From top to bottom; `kind` as Streamlit's protocol calls it: "button", "bidi_component" …"""
        shown = sorted(self._elements.items())
        return [getattr(element, kind) for _, (element, *_) in shown if element.WhichOneof("type") == kind]

    def text(self) -> str:
        """All that page and sidebar say, an element a line, without the backslashes that keep it from being Markdown;
        also what has been said in a corner."""
        said = list(self.toasts)
        for _, (element, *_) in sorted(self._elements.items()):
            kind = element.WhichOneof("type")
            if kind in _SAYS and kind != "toast":
                said.append(str(getattr(getattr(element, kind), _SAYS[kind])))
        return "\n".join(said).replace("\\", "")

    def component(self, name: str) -> str:
        """The data of the first component of this name, as JSON; empty where there is none."""
        return next((str(one.json) for one in self.elements("bidi_component") if one.component_name == name), "")

    def has_button(self, label: str) -> bool:
        return any(button.label == label and not button.disabled for button in self.elements("button"))

    async def until(self, found: Callable[[], Found], seconds: float = PATIENCE) -> Found:
        """What `found` gives once it is true. Raises AssertionError with what the page says instead."""
        try:
            async with asyncio.timeout(seconds):
                while not (answer := found()):
                    if not self.connected:
                        raise AssertionError(f"the connection was lost; the page says: {self.text()[:2000]}")
                    self._changed.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), 0.5)
                return answer
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s; the page says: {self.text()[:2000]}") from None

    async def says(self, text: str, seconds: float = PATIENCE) -> None:
        await self.until(lambda: text in self.text(), seconds)

    # -- what a person does -------------------------------------------------------------------------------------------

    async def go(self, page: str, **query: str) -> None:
        """By a link of the page to another one (or another graph); returns when it has come to rest."""
        self._stop_clocks()
        self._values.clear()
        self._elements.clear()
        self.page, self.query, self._page_hash = page, urlencode(query), ""
        await self._rerun_and_rest()

    async def click(self, label: str) -> None:
        """A button; returns at once, as what it does is seen on the page."""
        place, button = await self.until(lambda: self._find("button", label))
        await self._send(self._elements[place][2], WidgetState(id=button.id, trigger_value=True))

    async def type(self, label: str, text: str) -> None:
        place, field = await self.until(lambda: self._find("text_input", label))
        self._values[field.id] = WidgetState(id=field.id, string_value=text)
        await self._send(self._elements[place][2])

    async def slide(self, label: str, value: float) -> None:
        place, slider = await self.until(lambda: self._find("slider", label))
        state = WidgetState(id=slider.id)
        state.double_array_value.data.append(value)
        self._values[slider.id] = state
        await self._send(self._elements[place][2])

    async def report(self, component: str, **state: Any) -> None:
        """What the script of a component says that a person did."""
        place, found = await self.until(lambda: self._find("bidi_component", component))
        self._values[found.id] = WidgetState(id=found.id, json_value=json.dumps(state))
        await self._send(self._elements[place][2])

    def _find(self, kind: str, label: str) -> tuple[Place, Any] | None:
        name = "component_name" if kind == "bidi_component" else "label"
        for place, (element, *_) in sorted(self._elements.items()):
            if element.WhichOneof("type") == kind and getattr(getattr(element, kind), name) == label:
                return place, getattr(element, kind)
        return None

    # -- to the server ------------------------------------------------------------------------------------------------

    async def _rerun_and_rest(self, seconds: float = PATIENCE) -> None:
        before, page = self.runs, self.page
        await self._send()  # what ran meanwhile may still say that it is on the page before
        await self.until(lambda: self.runs > before and not self.running and self.page == page, seconds)

    async def _send(self, fragment: str = "", trigger: WidgetState | None = None, by_clock: bool = False) -> None:
        message = BackMsg()
        run = message.rerun_script
        run.query_string, run.page_script_hash, run.fragment_id = self.query, self._page_hash, fragment
        run.page_name = "" if self._page_hash else self.page
        run.is_auto_rerun = by_clock
        run.widget_states.widgets.extend([*self._values.values(), *([trigger] if trigger else [])])
        run.cached_message_hashes.extend(self._cached)
        run.context_info.timezone, run.context_info.locale = "UTC", "en"
        with suppress(ConnectionClosed):  # which is seen where it is read
            await self._connection.send(message.SerializeToString())

    async def _tick(self, fragment: str, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._send(fragment, by_clock=True)

    def _stop_clocks(self) -> None:
        for _, clock in self._clocks.values():
            clock.cancel()
        self._clocks.clear()

    # -- from the server ----------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            async for data in self._connection:
                message = ForwardMsg()
                message.ParseFromString(data if isinstance(data, bytes) else data.encode())
                self._take(message)
                self._changed.set()
        except ConnectionClosed:
            pass
        finally:
            self.connected = False
            self._stop_clocks()
            self._changed.set()

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            known, metadata = self._cached[message.ref_hash], message.metadata
            message = ForwardMsg()
            message.CopyFrom(known)
            message.metadata.CopyFrom(metadata)
            kind = message.WhichOneof("type")
        elif message.metadata.cacheable:
            self._cached[message.hash] = message
        if kind == "new_session":
            self._begin(message)
        elif kind == "delta":
            self._draw(message)
        elif kind == "script_finished":
            self._end(message.script_finished)
        elif kind == "auto_rerun":
            self._set_clock(message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                if fragment in self._clocks:
                    self._clocks.pop(fragment)[1].cancel()
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "navigation":
            pages = {page.page_script_hash: page.url_pathname for page in message.navigation.app_pages}
            self._page_hash = message.navigation.page_script_hash
            self.page = pages.get(self._page_hash, self.page)

    def _begin(self, message: ForwardMsg) -> None:
        self.running = True
        self._run, self._fragments = message.metadata.run.script_run_id, list(message.metadata.run.fragment_ids)
        if self._fragments:
            return
        self._stop_clocks()
        page = message.new_session.page_script_hash
        if page != self._page_hash:
            self._elements.clear()
            self._page_hash = page

    def _draw(self, message: ForwardMsg) -> None:
        place, delta = tuple(message.metadata.delta_path), message.delta
        if delta.WhichOneof("type") != "new_element":
            return  # where it is tells enough of the blocks around it
        element = delta.new_element
        kind = element.WhichOneof("type")
        if kind == "exception":
            self.troubles.append(f"{element.exception.type}: {element.exception.message}")
        if kind == "toast":
            self.toasts.append(element.toast.body)
        self._elements[place] = (element, self._run, delta.fragment_id)

    def _end(self, how: int) -> None:
        """What this run has not drawn again is old."""
        if how == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
            self.troubles.append("the page's script could not be read")
        if how == _RERUN:
            return  # the next one follows at once
        for place, (_, run, fragment) in list(self._elements.items()):
            if run != self._run and (not self._fragments or fragment in self._fragments):
                del self._elements[place]
        self.runs += not self._fragments
        self._forget_old_messages()
        self.running = False

    def _forget_old_messages(self) -> None:
        """As the browser does: of those that the page no longer shows, the latest hundred are kept."""
        for name in list(self._cached)[:-100]:
            del self._cached[name]

    def _set_clock(self, fragment: str, seconds: float) -> None:
        if fragment in self._clocks:
            if self._clocks[fragment][0] == seconds:
                return
            self._clocks.pop(fragment)[1].cancel()
        self._clocks[fragment] = seconds, asyncio.create_task(self._tick(fragment, seconds))


@asynccontextmanager
async def visit(address: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Visitor]:
    """A new tab at an address with path and query; it has come to rest. Raises OSError where no server is."""
    parts = urlsplit(address)
    stream = f"ws://{parts.netloc}/_stcore/stream"
    async with connect(stream, subprotocols=["streamlit"], max_size=None, additional_headers=headers) as connection:  # type: ignore[list-item]
        visitor = Visitor(connection)
        visitor.page, visitor.query = parts.path.strip("/"), parts.query
        reader = asyncio.create_task(visitor._read())
        try:
            await visitor._rerun_and_rest()
            yield visitor
        finally:
            visitor._stop_clocks()
            await connection.close()
            await reader
