"""Two faults of Streamlit (1.67) with fragments that refresh themselves, while others draw.

A timer may go off in the browser while the server changes pages. The fragment is then run under the page before, and
for that the browser takes off the screen all that the new page has drawn; what the new page's own fragments send next
breaks it off for good ("Bad delta path"). So what is asked for on a page that was left is dropped.

And a run that starts at once after another one's end makes the browser think that the other one was broken off: it
leaves on the screen what that one did not draw any more, beside what it did. So a fragment's run waits for the news.
"""

import time

from streamlit.runtime.runtime_util import MESSAGE_FLUSH_INTERVAL_SECS
from streamlit.runtime.scriptrunner.script_runner import RerunData, ScriptRunner

_run = ScriptRunner._run_script


def mind_fragments() -> None:
    """In this process, from now on."""
    ScriptRunner._run_script = _run_in_time  # type: ignore[assignment, method-assign]


def _run_in_time(runner: ScriptRunner, asked: RerunData) -> None:
    if asked.fragment_id_queue:
        if asked.page_script_hash != runner._pages_manager.current_page_script_hash:
            return
        time.sleep(2 * MESSAGE_FLUSH_INTERVAL_SECS)
    _run(runner, asked)
