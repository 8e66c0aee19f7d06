"""What can be measured of how a page looks: width, contrast, what axe-core finds."""

import re
from collections.abc import Iterator

from playwright.sync_api import Page

# The page and its scrolling part are not wider than the screen; nor is any element of ours that is not meant to scroll.
WIDE = """() => [document.documentElement, document.querySelector('[data-testid=stMain]')]
    .filter((e) => e.scrollWidth > innerWidth).map((e) => `${e.tagName} ${e.scrollWidth}`)"""

# Buttons of the page that are partly outside the screen, or outside a box around them that hides the rest.
CUT = """() => [...document.querySelectorAll('[data-testid=stMain] :is(.stButton, .stPopover) button')]
    .filter((button) => {
        const { right, width } = button.getBoundingClientRect();
        if (!width) return false;
        const hides = (box) => getComputedStyle(box).overflowX !== 'visible';
        for (let box = button.parentElement; box; box = box.parentElement)
            if (box.getBoundingClientRect().right + 1 < right && hides(box)) return true;
        return right > innerWidth;
    }).map((button) => button.innerText)"""


def faint(page: Page) -> list[str]:
    """Texts of charts that have too little contrast with the page."""
    return page.evaluate("""() => {
        const light = (colour) => {
            const [r, g, b] = colour.match(/[\\d.]+/g).map((c) => c / 255)
                .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
        };
        const page = light(getComputedStyle(document.querySelector('.stApp')).backgroundColor);
        return [...document.querySelectorAll('[data-testid=stVegaLiteChart] svg text')].filter((text) => {
            const own = light(getComputedStyle(text).fill);
            return Math.max(own, page) / Math.min(own, page) < 3;
        }).map((text) => text.textContent);
    }""")


# Streamlit's own markup, which we can't change: rule → what of it.
NOT_OURS = {"aria-dialog-name": "stToast"}


def themes(page: Page) -> Iterator[str]:
    """The page in light and then in dark, by the system's theme, which Streamlit follows."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.wait_for_function(
            """dark => {
                const colour = getComputedStyle(document.querySelector('.stApp')).backgroundColor;
                return (colour.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0) < 300) === dark;
            }""",
            arg=theme == "dark",
        )
        yield theme


def flaws(page: Page, axe: str, where: str) -> list[str]:
    """What axe-core finds in both themes, and texts of charts, at which it does not look."""
    found = []
    for theme in themes(page):
        found += violations(page, axe, f"{where}, {theme}") + [
            f"{where}, {theme}: faint {text}" for text in faint(page)
        ]
    return found


def violations(page: Page, axe: str, where: str) -> list[str]:
    page.wait_for_timeout(700)  # a page that fades in has too little contrast
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    found = []
    for rule in result["violations"]:
        if rule["impact"] not in ("serious", "critical"):
            continue
        for node in rule["nodes"]:
            html = node["html"][:300]
            if not re.search(NOT_OURS.get(rule["id"], "$^"), html):
                found.append(f"{where}: {rule['id']} {node['target']} {html}: {node['failureSummary']}")
    return found
