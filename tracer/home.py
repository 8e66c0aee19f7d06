"""Where Hypograph keeps what it makes: one folder, never the checkout."""

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """`HYPOGRAPH_HOME`, or the user data folder of this system. Not created here."""
    chosen = os.environ.get("HYPOGRAPH_HOME")
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("hypograph", appauthor=False)
