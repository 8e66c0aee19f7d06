"""The text of a file that somebody gives: bounded, and UTF-8."""

from lab.errors import LabError


def text_of(content: bytes, most: int, shorten: str) -> str:
    """Without a byte order mark. Raises LabError, in one line, for more than `most` bytes (`shorten` says what to do
    then) and for bytes that are no UTF-8, naming their line.
    """
    if len(content) > most:
        raise LabError(f"it is larger than {most:,} bytes: {shorten}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise LabError(f"line {line} is not UTF-8 text: save the file as UTF-8") from problem
