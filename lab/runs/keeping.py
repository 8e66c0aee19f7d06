"""Runs in the record: begun once, their figures written prompt by prompt, nothing ever changed. Lab inherits it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lab.errors import LabError, NotYours
from lab.people import allowed, seen_by
from lab.runs.bodies import DrawnControls, Figures, PromptFigures, RunBody
from lab.schema import FiguresRow, RecordRow
from lab.views import About, Person, Record


@dataclass(frozen=True)
class Kept:
    """What is there of a run."""

    prompts: dict[str, PromptFigures]  # by `PromptFigures.part`, in the order in which they were finished
    drawn: DrawnControls | None
    times: dict[str, datetime]  # when each part was written


class KeepingRuns(ABC):
    @abstractmethod
    def _session(self) -> AbstractContextManager[Session]: ...

    @abstractmethod
    def _row(self, session: Session, id: str, viewer: Person) -> RecordRow: ...

    @abstractmethod
    def create(self, author: Person, about: About, body: RunBody, visibility: str = "lab") -> Record[RunBody]: ...

    @abstractmethod
    def find(self, kind: str, viewer: Person, about: About | None = None) -> list[Record]: ...

    def begin_run(self, author: Person, body: RunBody, visibility: str = "lab", anew: bool = False) -> Record[RunBody]:
        """The author's own run of this version, with the same options and made with the same; a new one where there is
        none, or where it shall begin `anew`."""
        about = About(
            model=body.made_with.model_fingerprint, basis=body.made_with.basis_fingerprint, hypothesis=body.hash
        )
        for run in [] if anew else self.find("run", author, about):
            if run.owner.id == author.id and body.same_as(run.head.body):
                return run
        return self.create(author, about, body, visibility)

    def runs(self, viewer: Person, hash: str) -> list[Record[RunBody]]:
        """Of one version of a hypothesis: those that this person may see, the latest first."""
        return self.find("run", viewer, About(hypothesis=hash))

    def finished(self, ids: Sequence[str], viewer: Person) -> dict[str, int]:
        """Of how many prompts figures are kept, by run; those of which none are, or that this person may not see, have
        no entry."""
        there = FiguresRow.run_id.in_(ids) & (FiguresRow.part != "controls") & FiguresRow.body.is_not(None)
        seen = select(RecordRow.id).where(seen_by(viewer))
        with self._session() as session:
            counted = (
                select(FiguresRow.run_id, func.count())
                .where(there, FiguresRow.run_id.in_(seen))
                .group_by(FiguresRow.run_id)
            )
            return {run: n for run, n in session.execute(counted)}

    def keep_figures(self, id: str, author: Person, figures: Figures) -> None:
        """What is there already stays: the same run computes the same. Raises NotFound, LabError for no run, NotYours
        for anybody but its owner."""
        try:
            with self._session() as session:
                row = self._run(session, id, author)
                allowed(session, author)
                if row.owner_id != author.id:
                    raise NotYours("these figures are of somebody else's run: run the hypothesis yourself")
                if row.deleted is not None:
                    raise LabError("this run was deleted in the meantime: restore it, then go on")
                body = figures.model_dump_json(exclude_none=True)
                session.add(FiguresRow(run_id=id, part=figures.part, created=datetime.now(UTC), body=body))
        except IntegrityError:  # another process runs it too, and was faster
            pass

    def figures(self, id: str, viewer: Person) -> Kept:
        """Raises NotFound, and LabError for no run and for figures that were changed."""
        with self._session() as session:
            self._run(session, id, viewer)
            found = session.scalars(select(FiguresRow).where(FiguresRow.run_id == id).order_by(FiguresRow.created))
            rows = [row for row in found if row.body is not None]
        texts = {row.part: row.body or "" for row in rows}
        try:
            drawn = texts.pop("controls", None)
            return Kept(
                {part: PromptFigures.model_validate_json(text) for part, text in texts.items()},
                None if drawn is None else DrawnControls.model_validate_json(drawn),
                {row.part: row.created for row in rows},
            )
        except ValidationError as problem:
            raise LabError(f"the figures of run {id} were changed in the database: run it anew") from problem

    def _run(self, session: Session, id: str, viewer: Person) -> RecordRow:
        row = self._row(session, id, viewer)
        if row.kind != "run":
            raise LabError(f"record {id} is no run of a hypothesis: give the id of one")
        return row
