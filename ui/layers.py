"""The layers below the pages, whole. Each script that Streamlit runs imports this first.

After a restart the tabs that are open run their pages' scripts at once, a thread each. Python breaks off an import that
waits for another thread, where that one waits for a module of the same package: here all wait for the first one.
"""

import cache  # noqa: F401
import lab  # noqa: F401
import service  # noqa: F401
import tracer  # noqa: F401
