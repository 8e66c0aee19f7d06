"""Faults of Streamlit (1.67) with fragments that refresh themselves, while others draw.

A timer may go off in the browser while the server changes pages. The fragment is then run under the page before, and
for that the browser takes off the screen all that the new page has drawn; what the new page's own fragments send next
breaks it off for good ("Bad delta path"). So what is asked for on a page that was left is dropped.

And a run that starts before the browser was sent the end of another one makes it think that the other one was broken
off: it leaves on the screen what that one did not draw any more, beside what it did. A run of a fragment waits.
Where the person goes on to another page or graph meanwhile, it is not run any more: the session's next run has begun by
then, in another thread, and would be given the address of this one.

And what a run draws last, with its end, is dropped where the session begins another one before its event loop has heard
of it, as a timer makes it do on a server that has much to do: the page stays half drawn. So a run waits for that.

Besides: what no page caught is heard here, in whole runs and in those of fragments (`streamlit run` has no setting).
"""

import time
from threading import Event

from streamlit import runtime
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.runtime_util import MESSAGE_FLUSH_INTERVAL_SECS
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner.script_runner import RerunData, ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequestType

from ui.uncaught import said

PATIENCE = 15.0  # seconds at most, on a server that has much to do; whose browser has gone has no active session

_run = ScriptRunner._run_script


def mind_fragments() -> None:
    """In this process, from now on."""
    ScriptRunner._run_script = _run_in_time  # type: ignore[assignment, method-assign]


def _run_in_time(runner: ScriptRunner, asked: RerunData) -> None:
    if asked.fragment_id_queue:
        if asked.page_script_hash != runner._pages_manager.current_page_script_hash:
            return
        _wait_for_news(runner._session_id)
        if runner._requests._state is ScriptRequestType.STOP:
            return
    if (context := get_script_run_ctx()) is not None:
        context.on_script_error = said
    _run(runner, asked)
    if (session := _session(runner._session_id)) is not None:
        _wait_for_loop(session)


def _session(id: str) -> AppSession | None:
    """None where no browser is connected to it, as in AppTest, whose runtime has no sessions."""
    sessions = getattr(runtime.get_instance(), "_session_mgr", None) if runtime.exists() else None
    info = None if sessions is None else sessions.get_active_session_info(id)
    return None if info is None else info.session


def _wait_for_loop(session: AppSession) -> None:
    """Until the session's event loop has done what waits there now."""
    heard = Event()
    session._event_loop.call_soon_threadsafe(heard.set)
    heard.wait(PATIENCE)


def _wait_for_news(session_id: str) -> None:
    """Until what was said in this session before is sent: its event loop puts it into a queue, and empties that."""
    if (session := _session(session_id)) is None:
        return
    end = time.monotonic() + PATIENCE
    _wait_for_loop(session)
    while not session._browser_queue.is_empty() and time.monotonic() < end:
        time.sleep(MESSAGE_FLUSH_INTERVAL_SECS)
