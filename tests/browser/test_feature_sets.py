"""Transcoders from the page, on the default model: load a set, trace with it, read a feature, go back to neurons."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Page, expect

import tracer
from tests.browser.driver import (
    FEATURE,
    SPORT,
    card,
    clear_nodes,
    click_node,
    expect_card,
    main,
    sidebar,
    start_trace,
    type_prompt,
    until,
    wait_for_graph,
)
from tests.browser.visiting import Visit
from tests.helpers import transcoders

pytestmark = [pytest.mark.browser, pytest.mark.default_model]


@pytest.fixture(scope="module")
def a_set(gemma: tracer.ReplacementModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random transcoders for the default model, five active at a token."""
    folder = tmp_path_factory.mktemp("sets") / "random-topk"
    transcoders(folder, gemma.anatomy.model, activation="topk", skip=True, writes="hook_mlp_out")
    return folder


def load(page: Page, features: str) -> None:
    """Through the picker of the Trace page."""
    main(page).get_by_role("button", name=re.compile("^Features: ")).click()
    box = page.get_by_role("combobox", name="Feature set")
    box.fill(features)
    box.press("Enter")
    button = page.get_by_role("button", name="Load it", exact=True)
    expect(button).to_be_enabled()
    button.click()


@pytest.fixture
def neurons_again(visit: Visit) -> Iterator[None]:
    """The server is shared: whatever happens here, the other tests find neurons."""
    yield
    page = visit()
    if "neurons · " not in sidebar(page).inner_text():
        load(page, "neurons")
        expect(sidebar(page)).to_contain_text("neurons · ", timeout=60_000)


def test_from_a_feature_set_to_its_graph(visit: Visit, a_set: Path, neurons_again: None) -> None:
    page = visit()
    load(page, str(a_set))
    expect(sidebar(page)).to_contain_text("random-topk · ", timeout=60_000)
    expect(main(page).get_by_role("button", name="Features: …/random-topk")).to_be_visible()
    type_prompt(page, SPORT, 7)
    start_trace(page)
    key = wait_for_graph(page)
    expect(main(page)).to_contain_text("540 of 540 active features selected")  # 18 layers × 6 tokens × 5
    page = visit(f"/graph?graph={key}&nodes=1")  # random features explain little: pruning would leave none
    until(lambda: clear_nodes(page, FEATURE))
    expect_card(page, click_node(page, clear_nodes(page, FEATURE)[0]))
    expect(card(page)).to_contain_text("A transcoder feature of layer")
    expect(card(page)).to_contain_text("Activation at each token")
    expect(card(page)).to_contain_text("What it says")
    link = page.url

    sidebar(page).get_by_role("link", name="Trace", exact=True).click()
    load(page, "neurons")
    expect(sidebar(page)).to_contain_text("neurons · ", timeout=60_000)
    page.goto(link)
    expect(card(page)).to_contain_text("A transcoder feature of layer")
    expect(card(page)).to_contain_text("need the model of this graph")


def test_a_set_that_does_not_fit_is_refused_and_nothing_changes(visit: Visit, tmp_path: Path) -> None:
    from tests.helpers import tiny_llama

    transcoders(tmp_path / "other", tiny_llama())
    page = visit()
    load(page, str(tmp_path / "other"))
    expect(main(page)).to_contain_text("The feature set was not loaded", timeout=60_000)
    expect(main(page)).to_contain_text(re.compile("has layers 3, the model has 18"))
    expect(sidebar(page)).to_contain_text("neurons · ")
