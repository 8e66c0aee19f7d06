"""A record whose database fails for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from lab import Lab


@contextmanager
def troubled(lab: Lab, trouble: str, mended: str) -> Iterator[None]:
    """On SQLite, by one of its PRAGMAs: max_page_count (no room), query_only (nothing can be written)."""

    def set_(connection: Any, *_more: object) -> None:
        connection.execute(f"PRAGMA {trouble}")

    def unset(connection: Any, *_more: object) -> None:
        connection.execute(f"PRAGMA {mended}")

    event.listen(lab._engine, "checkout", set_)
    event.listen(lab._engine, "checkin", unset)
    try:
        yield
    finally:
        event.remove(lab._engine, "checkout", set_)
        event.remove(lab._engine, "checkin", unset)
