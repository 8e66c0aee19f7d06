"""One loading of a model: the model, or the one line that says why not."""

import logging
import time
from collections.abc import Callable

import tracer
from service.settings import Settings
from service.slot import Choice
from service.trouble import explain, release_memory
from tracer.model.here import check_room

log = logging.getLogger(__name__)


def load_model(
    load: Callable[..., tracer.ReplacementModel],
    choice: Choice,
    settings: Settings,
    reuse: tracer.ReplacementModel | None,
    progress: tracer.Progress,
    checks_room: bool = False,
) -> tuple[tracer.ReplacementModel | None, str | None]:
    """Without a model the line is None too where the load was given up on purpose. `load` is the engine's."""
    error, started = None, time.monotonic()
    try:
        if checks_room:
            check_room(choice.model, settings.models, settings.device, settings.dtype)
        model = load(
            choice.model,
            features=choice.features,
            device=settings.device,
            dtype=settings.dtype,
            offload=settings.offload,
            store=settings.models,
            progress=progress,
            reuse=reuse,
        )
    except tracer.Cancelled:
        log.info("loading %s was given up", choice.model)
    except Exception as caught:
        error = explain(caught, "close other programs or choose a smaller model (HYPOGRAPH_MODEL)")
        log.warning("loading %s failed: %s", choice.model, error)
        release_memory()
    else:
        log.info("loaded %s in %.1f s", choice.model, time.monotonic() - started)
        return model, None
    return None, error
