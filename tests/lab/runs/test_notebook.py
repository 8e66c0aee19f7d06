"""The notebook: which run counts, and p corrected over the claims that were tested. Figures are made up."""

from typing import Any

import pytest

from lab import About, CommentBody, HypothesisBody, HypothesisFile, Lab, LabError, NotFound, Person, Record
from lab.runs.conclude import result
from lab.runs.notebook import Entry, Row, Run, entries, others, rows
from lab.runs.result import Result
from lab.statistics import corrected
from tests.lab.runs.made_up import BASE, EDIT, ran
from tests.lab.runs.tiny import hypothesis


def claim(**changes: Any) -> HypothesisBody:
    return hypothesis(**BASE | {"intervention": EDIT, "notebook": "Names"} | changes)


def written(lab: Lab, by: Person, body: HypothesisBody, freeze: bool = True) -> Record[HypothesisBody]:
    record = lab.create(by, About(), body)
    if freeze:
        lab.freeze(record.id, by, 1)
    return record


def listed(lab: Lab, viewer: Person) -> dict[str, Row]:
    def result_of(run: Run, notebook: tuple[float, ...]) -> Result:
        return result(run.head.body, run.created, lab.figures(run.id, viewer), notebook)

    troubles: list[str] = []
    shown = entries(lab, viewer, troubles)
    gone = entries(lab, viewer, troubles, deleted=True)
    found = rows(shown, gone, result_of)
    for row in found:  # the page of one says the same
        if row.run is not None and row.corrected is not None:
            over = others(row.entry, row.run, [*shown, *gone], result_of)
            again = result_of(row.run, over).findings
            assert again is not None and again.corrected in (None, row.corrected)
    assert troubles == []
    return {row.entry.record.head.body.title: row for row in found}


def test_p_is_corrected_over_what_was_confirmed(lab: Lab, ada: Person, ben: Person) -> None:
    for title, effect in (("strong", -2.0), ("weak", -0.1), ("other way", 2.0)):
        ran(lab, ada, written(lab, ada, claim(title=title)), effect)
    alone = written(lab, ben, claim(title="elsewhere", notebook="Verbs"))
    ran(lab, ben, alone, -2.0)
    ran(lab, ada, written(lab, ada, claim(title="in none", notebook=None)), -2.0)
    ran(lab, ada, written(lab, ada, claim(title="draft"), freeze=False), -2.0)
    ran(lab, ada, written(lab, ada, claim(title="cut off")), -2.0, prompts=4)
    written(lab, ada, claim(title="frozen"))
    found = listed(lab, ada)
    ps = {title: found[title].p for title in ("strong", "weak", "other way")}
    assert ps["strong"] == 1 / 40 and None not in ps.values()
    by_hand = corrected([p for p in ps.values() if p is not None], "bh")
    assert [found[title].corrected for title in ps] == pytest.approx(by_hand.tolist())
    assert found["strong"].result is not None and found["strong"].result.verdict is not None
    assert "3 claims" in found["strong"].result.verdict.sentence
    assert found["elsewhere"].corrected == found["elsewhere"].p == 1 / 40
    assert (found["in none"].p, found["in none"].corrected) == (1 / 40, None)
    assert (found["draft"].p, found["draft"].corrected) == (1 / 40, None)  # exploratory
    assert (found["cut off"].p, found["frozen"].run) == (None, None)


def test_a_claim_that_was_tested_counts_when_it_is_deleted(lab: Lab, ada: Person) -> None:
    ran(lab, ada, written(lab, ada, claim(title="strong")), -2.0)
    second = written(lab, ada, claim(title="weak"))
    ran(lab, ada, second, -0.1)
    before = listed(lab, ada)["strong"].corrected
    lab.delete(second.id, ada)
    after = listed(lab, ada)
    assert before == after["strong"].corrected == pytest.approx(2 / 40) and "weak" not in after


def test_the_first_frozen_version_counts(lab: Lab, ada: Person) -> None:
    record = written(lab, ada, claim(title="first"))
    counts = ran(lab, ada, record, -0.1)
    lab.save(record.id, ada, claim(title="second", smallest_effect=0.6), 1)
    lab.freeze(record.id, ada, 2)
    ran(lab, ada, record, -2.0, version=2)
    row = listed(lab, ada)["second"]
    assert row.run is not None and row.run.id == counts.id and len(row.entry.runs) == 2
    assert row.result is not None and row.result.exploratory is None


def test_private_ones_of_others_are_not_counted(lab: Lab, ada: Person, ben: Person) -> None:
    ran(lab, ada, written(lab, ada, claim(title="mine")), -2.0)
    theirs = written(lab, ben, claim(title="theirs"))
    run = ran(lab, ben, theirs, -0.1)
    for id in (theirs.id, run.id):
        lab.show_to(id, ben, "private")
    assert listed(lab, ada)["mine"].corrected == 1 / 40
    assert listed(lab, ben)["mine"].corrected == pytest.approx(2 / 40)


def test_figures_that_were_changed_are_said_and_hide_nothing_else(lab: Lab, ada: Person) -> None:
    written(lab, ada, claim(title="frozen"))
    record = written(lab, ada, claim(title="changed"))
    run = ran(lab, ada, record, -2.0)

    def result_of(run: Run, notebook: tuple[float, ...]) -> Result:
        raise LabError("the figures were changed")

    found = {row.entry.record.id: row for row in rows(entries(lab, ada, []), [], result_of)}
    assert found[record.id].trouble == "the figures were changed" and found[record.id].run is not None
    assert found[record.id].run.id == run.id and len(found) == 2


def test_of_runs_that_cannot_be_read_the_next_one_counts(lab: Lab, ada: Person) -> None:
    ran(lab, ada, written(lab, ada, claim(title="strong")), -2.0)
    record = written(lab, ada, claim(title="ran again"))
    first, second = (ran(lab, ada, record, -0.1) for _ in range(2))

    def result_of(run: Run, notebook: tuple[float, ...]) -> Result:
        if run.id == second.id:
            raise LabError("the figures were changed")
        return result(run.head.body, run.created, lab.figures(run.id, ada), notebook)

    found = {row.entry.record.head.body.title: row for row in rows(entries(lab, ada, []), [], result_of)}
    again = found["ran again"]
    assert again.run is not None and again.run.id == first.id and again.p is not None
    assert again.trouble == "the figures were changed"
    assert found["strong"].corrected == pytest.approx(2 / 40)


def test_a_record_that_cannot_be_read_hides_no_other(lab: Lab, ada: Person) -> None:
    written(lab, ada, claim(title="sound"))
    broken = written(lab, ada, claim(title="broken"))
    with lab._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE revisions SET body = '[]' WHERE record_id = ?", (broken.id,))
    troubles: list[str] = []
    found: list[Entry] = entries(lab, ada, troubles)
    assert [entry.record.head.body.title for entry in found] == ["sound"]
    assert len(troubles) == 1 and broken.id in troubles[0]


def test_a_hypothesis_is_erased_with_its_runs_and_comments(lab: Lab, ada: Person, ben: Person) -> None:
    record = written(lab, ada, claim(title="secret"))
    lab.save(record.id, ada, claim(title="secret draft"), 1)
    gone = [ran(lab, ben, record, -2.0), ran(lab, ada, record, -2.0, version=2)]
    gone.append(lab.create(ben, About(hypothesis=record.id), CommentBody(text="it is secret")))
    stays = ran(lab, ben, written(lab, ben, claim(title="other")), -2.0)
    lab.purge_record(record.id)
    for one in gone:
        with pytest.raises(NotFound, match="erased"):
            lab.get(one.id, one.owner)
    with lab._engine.begin() as connection:
        left = connection.exec_driver_sql("SELECT count(*) FROM revisions WHERE body LIKE '%secret%'").scalar()
    assert left == 0 and len(lab.figures(stays.id, ben).prompts) == 9


def test_with_a_person_others_runs_of_what_they_wrote_are_erased(lab: Lab, ada: Person, ben: Person) -> None:
    drafts = [lab.create(ben, About(), claim(title=f"secret {n}")) for n in range(2)]
    hers = written(lab, ada, claim(title="hers"))
    lab.save(hers.id, ben, claim(title="secret, in hers"), 1)
    lab.create(ada, About(), claim(title="secret 1"))  # she wrote the same
    gone = [ran(lab, ada, drafts[0], -2.0), ran(lab, ada, hers, -2.0, version=2)]
    stay = [ran(lab, ada, drafts[1], -2.0), ran(lab, ada, hers, -2.0)]
    lab.purge_person(ben.id)
    for one in gone:
        with pytest.raises(NotFound, match="erased"):
            lab.get(one.id, ada)
        assert not lab.figures(one.id, ada).prompts
    assert all(len(lab.figures(one.id, ada).prompts) == 9 and lab.get(one.id, ada) for one in stay)


def test_a_draft_after_a_frozen_version_has_its_own_runs(lab: Lab, ada: Person) -> None:
    record = written(lab, ada, claim(title="first"))
    lab.save(record.id, ada, claim(title="draft", smallest_effect=0.6), 1)
    run = ran(lab, ada, record, -2.0, version=2)
    row = listed(lab, ada)["draft"]
    assert row.run is not None and row.run.id == run.id
    assert row.result is not None and row.result.exploratory == "the hypothesis was not frozen"
    assert HypothesisFile(hypothesis=record.head.body).parent is None
