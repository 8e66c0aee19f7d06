"""What a file that leaves this lab says of persons: no e-mail address, unless somebody asks for it."""

import re

LEFT_OUT = "(e-mail left out)"

_ADDRESS = re.compile(r"[^\s@<>()\[\]\"',;:]{1,64}@[^\s@<>()\[\]\"',;:]{1,255}\.[^\W\d_]{2,63}")


def without_addresses(text: str) -> str:
    """The text, with `LEFT_OUT` for each e-mail address in it."""
    return _ADDRESS.sub(LEFT_OUT, text)
