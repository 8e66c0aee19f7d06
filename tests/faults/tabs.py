"""What people do in a tab of a real dashboard on a small model, and what they then see."""

import json

from benchmarks.load import CANVAS
from benchmarks.visitor import Visitor

SHORT = "w4 w9 w2"  # a prompt


async def choose(tab: Visitor, node: str) -> None:
    """A click on a node of the open graph."""
    await tab.report(CANVAS, selected=node)
    await tab.until(lambda: f'"id": "{node}"' in tab.component("hypograph_card_head") and not tab.running)


async def label(tab: Visitor, node: str, text: str) -> None:
    """Type a label into a node's card; the card says by whom, once it is saved."""
    await choose(tab, node)
    await tab.type("Label", text)


async def labelled(tab: Visitor, node: str, text: str) -> None:
    """The same, and it was saved."""
    await label(tab, node, text)
    await tab.until(lambda: label_shown(tab) == text and "\nby " in tab.text() and not tab.running)


async def shows_label(tab: Visitor, text: str) -> None:
    """The card does, or will."""
    await tab.until(lambda: label_shown(tab) == text)


def label_shown(tab: Visitor) -> str:
    """In the card."""
    fields = [field for field in tab.elements("text_input") if field.label == "Label"]
    return str(fields[0].value if fields[0].set_value else fields[0].default) if fields else ""


def nodes(tab: Visitor) -> list[str]:
    """Ids of the features of the open graph."""
    ids = json.loads(json.loads(tab.component(CANVAS))["graph"])["nodes"]["id"]
    return [id for id in ids if id[0].isdigit()]
