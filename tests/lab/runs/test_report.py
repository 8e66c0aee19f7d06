"""The Markdown report says what the Result says, and hostile texts stay texts."""

from datetime import timedelta

from markdown_it import MarkdownIt

from lab import HypothesisBody
from lab.runs.bodies import Predicted, PromptFigures
from tests.lab.runs.made_up import NOON, figures

LATER = NOON + timedelta(hours=1)
HOSTILE = "<script>alert(1)</script> </td> [x](javascript:alert(1)) ![i](http://x.example/a.png) **b** | `c` =1+1"


def whole(body: HypothesisBody, n: int = 8) -> list[PromptFigures]:
    foretold = [Predicted(direct=-2 - i / 10, through=-1 - i / 10, missing=0) for i in range(n)]
    return [figures(body, i, -2.0, 0.3, predicted=foretold[i - 1]) for i in range(1, n + 1)]


def rendered(text: str) -> str:
    return MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text)
