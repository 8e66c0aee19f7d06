"""What a page's fragment asks for when the page was left already is dropped.

A timer may go off in the browser while the server changes pages. Streamlit (1.67) runs the fragment under the page
before, and for that the browser takes off the screen all that the new page has drawn; what the new page's own fragments
send next then breaks it off for good ("Bad delta path").
"""

from streamlit.runtime.scriptrunner.script_runner import RerunData, ScriptRunner

_run = ScriptRunner._run_script


def drop_late_requests() -> None:
    """In this process, from now on."""
    ScriptRunner._run_script = _run_unless_late  # type: ignore[assignment, method-assign]


def _run_unless_late(runner: ScriptRunner, asked: RerunData) -> None:
    if asked.fragment_id_queue and asked.page_script_hash != runner._pages_manager.current_page_script_hash:
        return
    _run(runner, asked)
