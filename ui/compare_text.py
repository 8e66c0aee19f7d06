"""A column's text with its tokens marked, and what is known of each under the pointer or the focus."""

from pathlib import Path

import streamlit as st

from ui.compare_sheet import Shown, Word

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "hypograph_compare_text",
    js=(_FOLDER / "compare_text.js").read_text("utf-8"),
    css=(_FOLDER / "compare_text.css").read_text("utf-8"),
)
STRONG = 3.0  # nats: a change of a log-probability that has the full tint


def compare_text(column: Shown, at: int) -> None:
    data = {
        "label": f"Text of column {at + 1}",
        "hint": "Point at a token, or go through them with the arrow keys: what else could stand there.",
        "words": [
            {
                "text": _readable(word),
                "said": ", ".join(
                    [word.token, *(["differs from column 1"] if word.differs else []), *facts(word, at)[1:]]
                ),
                "sign": word.sign,
                "share": share(word),
                "differs": word.differs,
                "facts": facts(word, at),
                "alternatives": [[name, f"{p:.1%}"] for name, p in word.alternatives],
            }
            for word in column.words
        ],
    }
    _component(key=f"compare_text_{at}", data=data)


def share(word: Word) -> float:
    """Of the full tint."""
    return min(1.0, abs(word.change or 0.0) / STRONG)


def facts(word: Word, at: int) -> list[str]:
    found = [f"{word.token}: log-probability {word.logprob:.2f}"]
    if at and word.change is None:
        found.append("no figure under column 1: other tokens")
    elif at:
        found.append(f"{word.first:.2f} under column 1: changed by {word.change:+.2f}")
    return found


def _readable(word: Word) -> str:
    """As it is where it is plain text; what can't be seen, by its name."""
    return word.text if word.text.strip(" ") == word.token.strip("␣") and word.text.strip() else word.token
