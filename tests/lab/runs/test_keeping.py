"""Runs in the database: begun once, only added to, seen and erased like all that people make."""

import pytest
from sqlalchemy import text

from lab import About, HypothesisFile, Lab, LabError, NotFound, Person
from lab.runs.bodies import PromptFigures, Reading
from lab.runs.run import begin, run
from tests.lab.runs.tiny import frozen, hypothesis
from tracer import ReplacementModel


def figures(n: int) -> PromptFigures:
    return PromptFigures(where="test", number=n, baseline=Reading(value=0.1 + n / 3))


def test_a_run_is_gone_on_with_by_its_author(lab: Lab, ada: Person, ben: Person, model: ReplacementModel) -> None:
    file = frozen(lab, ada, hypothesis())
    first = begin(lab, ada, file, model)
    assert first.head.body.hash == file.freeze.hash  # type: ignore[union-attr]
    assert begin(lab, ada, file, model) == first
    others = [
        begin(lab, ben, file, model),
        begin(lab, ada, file, model, full_grid=True),
        begin(lab, ada, file, model, predicts=True),
        begin(lab, ada, file, model, anew=True),
    ]
    assert len({run.id for run in [first, *others]}) == 5
    assert {run.id for run in lab.runs(ben, first.head.body.hash)} == {run.id for run in [first, *others]}
    draft = begin(lab, ada, HypothesisFile(hypothesis=file.hypothesis), model)
    assert draft.head.body.hash != first.head.body.hash
    with pytest.raises(LabError, match="stays as it was made"):
        lab.save(first.id, ada, first.head.body.model_copy(update={"title": "other"}), 1)


def test_figures_are_written_once(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    begun = begin(lab, ada, HypothesisFile(hypothesis=hypothesis()), model)
    for n in (2, 1):
        lab.keep_figures(begun.id, ada, figures(n))
    before = lab.figures(begun.id, ada)
    assert [*before.prompts.values()] == [figures(2), figures(1)]
    lab.keep_figures(begun.id, ada, figures(1).model_copy(update={"excluded": True}))  # by another process
    assert lab.figures(begun.id, ada) == before
    with lab._engine.begin() as connection:
        connection.execute(text("UPDATE figures SET body = '{}' WHERE part = 'test 1'"))
    with pytest.raises(LabError, match="changed in the database"):
        lab.figures(begun.id, ada)


def test_a_private_hypothesis_has_private_runs(lab: Lab, ada: Person, ben: Person, model: ReplacementModel) -> None:
    file = frozen(lab, ada, hypothesis())
    assert file.freeze is not None
    lab.show_to(file.freeze.record, ada, "private")
    begun = begin(lab, ada, file, model)
    with pytest.raises(NotFound):
        lab.figures(begun.id, ben)
    assert lab.runs(ben, begun.head.body.hash) == []
    assert begin(lab, ben, file, model).visibility == "lab"  # who was given the file
    draft = HypothesisFile(hypothesis=hypothesis(title="Draft"))
    open_to_all = begin(lab, ada, draft, model)
    record = lab.create(ada, About(), draft.hypothesis, "private").id
    private = begin(lab, ada, draft, model, anew=True, record=record)
    assert private.visibility == "private" and open_to_all.visibility == "lab"
    lab.delete(private.id, ada)
    gone_on = begin(lab, ada, draft, model, record=record)
    assert (gone_on.id, gone_on.visibility) == (open_to_all.id, "private")
    with pytest.raises(LabError, match="is no run"):
        lab.figures(file.freeze.record, ada)


def test_deleted_and_erased(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    begun = begin(lab, ada, HypothesisFile(hypothesis=hypothesis()), model)
    lab.keep_figures(begun.id, ada, figures(1))
    lab.delete(begun.id, ada)
    with pytest.raises(LabError, match="deleted in the meantime"):
        lab.keep_figures(begun.id, ada, figures(2))
    assert begin(lab, ada, HypothesisFile(hypothesis=hypothesis()), model).id != begun.id
    lab.purge_record(begun.id)
    with lab._engine.connect() as connection:
        left = connection.execute(text("SELECT run_id, part, body FROM figures")).all()
        assert left == [(begun.id, "test 1", None)]
        row = "SELECT hypothesis, model FROM records WHERE id = :id"
        assert connection.execute(text(row), {"id": begun.id}).all() == [(None, None)]


def test_another_model_than_the_run_was_begun_with(lab: Lab, ada: Person, model: ReplacementModel) -> None:
    begun = begin(lab, ada, HypothesisFile(hypothesis=hypothesis(model_fingerprint=None)), model)
    model.model_fingerprint = "1" * 64
    try:
        with pytest.raises(LabError, match="begun with another model"):
            next(run(lab, ada, begun, model))
    finally:
        model.model_fingerprint = "0" * 64
