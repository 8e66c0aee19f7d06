"""Files are taken from who may be here alone. Streamlit (1.67) takes them from every open tab, also of somebody who has
not logged in: who reaches the server could fill its memory.
"""

from functools import partial

from starlette.exceptions import HTTPException
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFileManager, UploadedFileRec

_tabs: set[str] = set()
"""Ids of the sessions that may."""


def mind_uploads() -> None:
    """In this process, from now on."""
    if runtime.exists():
        manager = runtime.get_instance().uploaded_file_mgr
        manager.add_file = partial(_add, manager)  # type: ignore[attr-defined]
        manager.remove_session_files = partial(_remove, manager)  # type: ignore[method-assign]


def let_upload() -> None:
    """This tab."""
    context = get_script_run_ctx()
    if context is not None and runtime.exists():
        _tabs.add(context.session_id)


def _add(manager: UploadedFileManager, session_id: str, file: UploadedFileRec) -> None:
    if session_id not in _tabs:
        raise HTTPException(403, "log in first")
    type(manager).add_file(manager, session_id, file)  # type: ignore[attr-defined]


def _remove(manager: UploadedFileManager, session_id: str) -> None:
    _tabs.discard(session_id)
    type(manager).remove_session_files(manager, session_id)
