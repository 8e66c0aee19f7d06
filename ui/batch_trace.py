"""The prompts of a batch as ordinary jobs: a few at a time, so that others have their turns and the person too.

They are fed by the tab that shows the batch; what is traced is kept in the cache, and the batch's link goes on with it.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st
from pydantic import ValidationError

from lab import BatchItem, LabError, Role
from service import JobState, JobView, Refused, Service, TraceRequest
from service.batches.folder import Asked
from service.batches.prompts import read_prompts
from service.tracing import check, key_of
from tracer import Difference, ReplacementModel, TracerError
from tracer.errors import first_fault
from ui.batch_feed import Feed
from ui.batch_source import Batch
from ui.session import get_lab, me
from ui.sidebar import plain, sentence

AT_ONCE = 3  # jobs of a batch that wait or run


# Prompts ------------------------------------------------------------------------------------------------------------


def asked_in_lines(text: str) -> list[Asked]:
    """A prompt a line; spaces before it don't count, those at its end neither. Raises LabError."""
    try:
        lines = dict.fromkeys(line.strip() for line in text.split("\n"))
        return [Asked(prompt=line) for line in lines if line]
    except ValidationError as problem:
        raise LabError(first_fault(problem)) from problem


def asked_in_file(data: bytes, name: str) -> list[Asked]:
    """Of CSV or JSON lines as `tracer batch` takes them. Raises LabError, TracerError."""
    suffix = ".jsonl" if name.lower().endswith(".jsonl") else ".csv"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"prompts{suffix}")
        path.write_bytes(data)
        return read_prompts(path, name)


def items_of(
    asked: Sequence[Asked], model: ReplacementModel, max_tokens: int, max_nodes: int | None
) -> list[BatchItem]:
    """Raises LabError where one can't be traced, naming it."""
    found = []
    for number, one in enumerate(asked, start=1):
        try:
            found.append(_item(one, model, max_tokens, max_nodes))
        except (Refused, TracerError, ValidationError) as problem:
            why = first_fault(problem) if isinstance(problem, ValidationError) else str(problem)
            raise LabError(f"prompt {number}: {why}") from problem
    return found


def _item(asked: Asked, model: ReplacementModel, max_tokens: int, max_nodes: int | None) -> BatchItem:
    ids = tuple(asked.tokens or model.token_ids(asked.prompt or ""))
    wanted = [model.token_id(token) for token in (asked.target, asked.minus) if token is not None]
    texts = [model.token_text(id) for id in wanted]
    item = BatchItem(
        key="0" * 64,
        prompt=asked.prompt if asked.prompt is not None else model.prompt_text(ids)[:20_000],
        tokens=ids,
        targets=tuple(wanted) or None,
        difference=len(wanted) == 2,
        target=texts[0] if texts else None,
        competitor=texts[1] if len(texts) > 1 else None,
        family=asked.family,
    )
    request = request_of(item, max_nodes)
    check(request, model, max_tokens)
    return item.model_copy(update={"key": key_of(request, model)})


def request_of(item: BatchItem, max_nodes: int | None) -> TraceRequest:
    targets: tuple[int, ...] | Difference | None = item.targets
    if item.difference and item.targets is not None:
        targets = Difference(*item.targets)
    return TraceRequest(item.tokens, item.prompt, targets=targets, max_nodes="auto" if max_nodes is None else max_nodes)


# Tracing ------------------------------------------------------------------------------------------------------------


def progress(service: Service, batch: Batch) -> None:
    """How many are traced, and what is done about the others. Runs the page once when all are."""
    if batch.record is None or len(batch.there) == len(batch.items):
        return
    _follow(service, batch)


def _feed_of(record: str) -> Feed:
    feeds: dict[str, Feed] = st.session_state.setdefault("batch_feeds", {})
    return feeds.setdefault(record, Feed())


@st.fragment(run_every=1.0)
def _follow(service: Service, batch: Batch) -> None:
    record = batch.record
    assert record is not None
    feed, jobs = _feed_of(record.id), _jobs(service, batch)
    there = {item.key for item in batch.items if item.key in service.cache}
    feed.take_in(jobs, there)
    missing = [item for item in batch.items if item.key not in there]
    if not missing:
        feed.end()
        st.rerun()
    left = [item for item in missing if item.key not in feed.given_up]
    active = [job for job in jobs.values() if not job.over]
    if feed.on and (feed.full or not left):
        feed.end()
    if feed.on and get_lab().get(record.id, me()).deleted is not None:  # in another tab
        _stop(service, record.id, [job for job in active if feed.handed.get(job.key) == job.id])
        st.rerun()
    if feed.on:
        _feed(service, batch, feed, left, jobs, active)
    running = next((job for job in active if job.state is JobState.RUNNING), None)
    done = len(there) + (running.fraction if running else 0)
    st.progress(done / len(batch.items), text=f"{len(there):,} of {len(batch.items):,} traced")
    row = st.container(horizontal=True, vertical_alignment="center")
    own = [job for job in active if me().id in job.watchers]
    if feed.on or own:
        row.button("Cancel", key="batch_cancel", on_click=_stop, args=(service, record.id, own))
    if feed.on:
        wait = next((job.position for job in own if job.position), None)
        place = "" if running or wait is None else f"The next one is number {wait} in the queue. "
        place += "An admin holds the queue. " if service.paused else ""
        row.caption(f"{place}Keep this page open: it hands in the prompts, {AT_ONCE} at a time.", width="stretch")
    elif active:
        row.caption("Those that were handed in are being traced; the others are not handed in yet.", width="stretch")
    elif traceable := [item for item in missing if item.tokens]:
        row.button(
            f"Trace the {len(traceable):,} missing",
            key="batch_go",
            type="primary",
            disabled=me().role is Role.VIEWER,
            help="Each as an ordinary job, in turn with those of others.",
            on_click=feed.begin,
            args=([job.id for job in jobs.values() if job.over],),
        )
    if len(there) > len(batch.there):
        row.button(
            f"Show all {len(there):,}", key="batch_show", on_click=lambda: None, help="Take in what came meanwhile."
        )
        if st.session_state.get("batch_show"):
            st.rerun()
    if lost := sum(not item.tokens for item in missing):
        st.caption(f"{lost:,} graphs were not traced for this batch and are not kept any more: they are left out.")
    if feed.full:
        st.warning(
            f"What was traced is not kept: the cache of this server ({service.settings.cache_gb:.3g} GB) or its disk is"
            " full. So the rest was not traced: trace smaller graphs or fewer prompts, or raise HYPOGRAPH_CACHE_GB."
        )
    for item in [item for item in missing if item.key in feed.given_up][:5]:
        st.caption(f"Not traced: “{plain(item.prompt[:60])}”: {plain(feed.given_up[item.key])}")
    if feed.refused:
        st.error(sentence(feed.refused))


def _feed(
    service: Service,
    batch: Batch,
    feed: Feed,
    left: Sequence[BatchItem],
    jobs: Mapping[str, JobView],
    active: Sequence[JobView],
) -> None:
    """Hand in the next ones, as far as there is room."""
    assert batch.record is not None
    room = max(0, AT_ONCE - len(active))
    waiting = [item for item in left if item.tokens and (item.key not in jobs or jobs[item.key].over)]
    for item in waiting[:room]:
        request, model = request_of(item, batch.record.head.body.max_nodes), service.model
        try:
            if model is not None and key_of(request, model) != item.key:
                raise Refused("the model was changed since this batch was made: load that one first")
            job = service.submit(request, me())
        except Refused as refusal:
            if not active:  # else there is no room now: again in a second
                feed.end()
                feed.refused = str(refusal)
            return
        feed.handed[item.key] = job.id
        st.session_state.setdefault("quiet_jobs", set()).add(job.id)


def _jobs(service: Service, batch: Batch) -> dict[str, JobView]:
    """The latest of each graph."""
    keys = {item.key for item in batch.items}
    return {job.key: job for job in reversed(service.jobs()) if job.key in keys}


def start(record: str) -> None:
    """This tab hands in what is missing, from its next look on."""
    _feed_of(record).begin()


def _stop(service: Service, record: str, own: Sequence[JobView]) -> None:
    _feed_of(record).end()
    for job in own:
        service.cancel(job.id, me())
