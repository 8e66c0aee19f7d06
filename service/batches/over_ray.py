"""Workers as actors of a Ray cluster, each with the model: one a GPU, or a share of one; on processors alone, some.

A worker that is lost is started anew by Ray, and its prompt is tried again. Results come back to this process, so that
the machines need no disk in common. Ray is optional (requirements-cluster.txt) and imported here alone.
"""

import logging
import os
import re
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from service.batches.worker import Worker
from service.batches.workers import Lost, Unit
from tracer import TracerError
from tracer.errors import first_line

_PATIENCE = 10.0  # seconds until a machine answers
_RETRIES = 2  # of a prompt whose worker was lost: that may be the prompt's own doing, when it fills the memory


class Cluster:
    """A connection to Ray; it ends with `close`, and a cluster that it started ends too."""

    def __init__(self, address: str) -> None:
        """`address`: "local" starts a cluster on this machine, "auto" finds the one of which it is part, else
        HOST:PORT. Raises TracerError where there is none, or no Ray."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is reported to anybody
        try:
            import ray
        except ImportError as problem:
            raise TracerError(
                "Ray is not installed: pip install -r requirements-cluster.txt, or leave --ray out"
            ) from problem
        self._ray = ray
        _look_for(address)
        options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if address == "local":
            options |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        try:
            ray.init(address=address, **options)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as problem:
            raise TracerError(f"no Ray cluster at {address}: {first_line(problem)}") from problem

    def actors(
        self, model: str, features: str, workers: int | None, gpus: float | None, kind: type[Worker] = Worker
    ) -> "Actors":
        """`workers`: None for as many as there is room for. `gpus`: of each, None for 1 where the cluster has any.

        Raises TracerError for more than there is.
        """
        there = self._ray.cluster_resources()
        all_cpus, all_gpus = int(there.get("CPU", 1)), there.get("GPU", 0)
        gpus = gpus if gpus is not None else 1.0 if all_gpus else 0.0
        room = int(all_gpus / gpus) if gpus else max(1, all_cpus // 2)
        n = workers or room
        if not n or n * gpus > all_gpus or n > all_cpus:
            raise TracerError(
                f"{n or 1} workers with {gpus:g} GPUs each: the cluster has {all_cpus} processors and {all_gpus:g}"
                " GPUs; give fewer --workers or --gpus-per-worker"
            )
        actor = self._ray.remote(kind).options(
            num_cpus=1 if gpus else all_cpus // n,
            num_gpus=gpus,
            max_restarts=-1,
            max_task_retries=_RETRIES,
            max_concurrency=2,  # a second thread answers how far the first is
        )
        return Actors(self._ray, [actor.remote(model, features) for _ in range(n)])

    def close(self) -> None:
        self._ray.shutdown()


def _look_for(address: str) -> None:
    """Ray itself would wait for minutes where nothing answers. Raises TracerError."""
    if not (there := re.fullmatch(r"\[?([^\[\]/]+)\]?:(\d{1,5})", address)):
        return
    try:
        socket.create_connection((there[1], int(there[2])), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as problem:
        raise TracerError(
            f"nothing answers at {address} ({first_line(problem)}): give a Ray cluster's address"
        ) from problem


class Actors:
    """See `workers.Workers`."""

    def __init__(self, ray: Any, handles: list[Any]) -> None:
        self._ray, self.handles = ray, handles

    def ask(self, do: str, *given: Any) -> Any:
        answer = self.answer(self.start(do, *given))
        if isinstance(answer, Lost):
            raise TracerError(str(answer))
        return answer

    def each(self, do: str, units: Sequence[Unit], *given: Any) -> Iterator[tuple[Unit, Any]]:
        """One unit at a time for each worker, so that a lost one takes no more than one with it."""
        at_work: dict[Any, tuple[Any, Unit]] = {}
        waiting, idle = iter(units), list(self.handles)
        while True:
            for handle in idle:
                for unit in waiting:
                    at_work[getattr(handle, do).remote(unit, *given)] = handle, unit
                    break
            if not at_work:
                return
            ready, _ = self._ray.wait(list(at_work))
            handle, unit = at_work.pop(ready[0])
            idle = [handle]
            yield unit, self.answer(ready[0])

    def start(self, do: str, *given: Any) -> Any:
        """The first worker begins; what it will answer is asked by `answer`."""
        return getattr(self.handles[0], do).remote(*given)

    def ready(self, asked: Any, seconds: float) -> bool:
        """Is the answer there, within so many seconds?"""
        return bool(self._ray.wait([asked], timeout=seconds)[0])

    def answer(self, asked: Any) -> Any:
        """Waits for it. Raises what the worker raised, and TracerError where the cluster fails."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(asked)
        except errors.RayTaskError as problem:
            raise problem.cause from None
        except (errors.RayActorError, errors.ObjectLostError, errors.OutOfMemoryError):
            return Lost(f"its worker was lost, in each of {_RETRIES + 1} tries: it may need more memory than there is")
        except errors.RayError as problem:
            raise TracerError(f"the Ray cluster failed: {first_line(problem)}") from problem

    def end(self) -> None:
        for handle in self.handles:
            self._ray.kill(handle)
