"""Batch: many prompts at once; what recurs in their graphs, what they share, which is unlike the others."""

import ui.layers  # noqa: F401
from ui.batch_view import batch_page
from ui.session import get_service

batch_page(get_service())
