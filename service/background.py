"""Feature dashboards of the bundled corpus, built bit by bit while the worker has nothing else to do."""

import logging
from collections.abc import Callable
from pathlib import Path

import tracer
from service.settings import Settings
from tracer.dashboards import corpus, store
from tracer.dashboards.build import build

log = logging.getLogger(__name__)


class Background:
    """Of one service. A build that fails is not tried again until the model changes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._over: set[Path] = set()  # folders that are complete, or failed
        self._shares: dict[Path, float] = {}

    def wanted(self, model: tracer.ReplacementModel | None) -> bool:
        """Is there something to build: neurons of a model; transcoder sets only by the command line, they take long."""
        if model is None or not self._settings.build_dashboards or model.basis_fingerprint != "neurons":
            return False
        return self._folder(model) not in self._over

    def run(self, model: tracer.ReplacementModel, give_way: Callable[[], bool]) -> None:
        """Until all is built, or `give_way()` says that somebody waits."""
        folder = self._folder(model)

        def report(_phase: str, share: float) -> None:
            self._shares[folder] = share
            if share < 1 and give_way():
                raise tracer.Cancelled

        try:
            build(model, corpus.contexts(corpus.BUNDLED, model), folder, report)
        except tracer.Cancelled:
            return
        except Exception as problem:  # the page works without
            log.warning("no feature dashboards: %s", problem)
            self._shares.pop(folder, None)
        self._over.add(folder)

    def share(self, model: tracer.ReplacementModel) -> float | None:
        folder = self._folder(model)
        if folder in self._shares:
            return self._shares[folder]
        return store.share(folder, model.model_fingerprint, model.basis_fingerprint)

    def _folder(self, model: tracer.ReplacementModel) -> Path:
        return self._settings.dashboards(model.model_fingerprint, model.basis_fingerprint)
