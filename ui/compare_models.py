"""Which models a column may run on: those on this machine that a link may name, or that somebody typed in this tab.

A link alone opens no folder: it may name presets, what the server is set to or has loaded, and what a saved run was
made with; what else there is has to be typed, as on the System page.
"""

from collections.abc import Callable, Iterable

import streamlit as st

from lab import SteeringBody
from service import Choice, ModelView, Service
from tracer import TracerError
from tracer.model.here import features_are_here, model_is_here
from tracer.presets import PRESETS
from ui.compare_columns import Column
from ui.feature_picker import NEURONS
from ui.sidebar import short_features

Models = dict[str, list[str]]
"""Feature sets by model."""


def offered(service: Service, runs: Iterable[SteeringBody]) -> Models:
    """All of them are on this machine."""
    state, settings = service.model_state(), service.settings
    wanted = [Choice(state.name, state.features), Choice(state.name, NEURONS)]
    wanted += [Choice(settings.model, settings.features), Choice(settings.model, NEURONS)]
    for preset in PRESETS.values():
        wanted += [
            Choice(preset.name, features) for features in (NEURONS, *(source.name for source in preset.features))
        ]
    wanted += [choice for choice in map(made_with, runs) if choice is not None]
    wanted += [one.choice for one in service.loaded_models()]  # typed by somebody: a reload of the page finds it again
    found: Models = {}
    for choice in dict.fromkeys([*wanted, *_typed()]):
        if choice.model in found or model_is_here(choice.model, settings.models):
            sets = found.setdefault(choice.model, [])
            if features_are_here(choice.model, choice.features):
                sets.append(choice.features)
    return found


def made_with(run: SteeringBody) -> Choice | None:
    """None for an older run with features that it does not name."""
    features = run.features or (NEURONS if run.basis_fingerprint.partition("-")[0] == NEURONS else "")
    preset = PRESETS.get(run.model)
    names = {source.reference: source.name for source in (preset.features if preset else ())}
    return Choice(run.model, names.get(features, features)) if features else None


def beside(service: Service, choice: Choice | None, models: Models) -> Choice | None:
    """What has to be loaded beside the loaded model; None: nothing. Raises TracerError for what may not."""
    state = service.model_state()
    if choice is None or choice == Choice(state.name, state.features):
        return None
    if choice.features in models.get(choice.model, []):
        return choice
    said = f"{choice.model[:200]} with {choice.features[:200]}"
    if choice in _typed():
        raise TracerError(f"{said} is not on this machine: give a preset, a folder, or a Hub id that was downloaded")
    raise TracerError(f"{said} is no model of this machine that a link or a run may name: choose one, or type it here")


def model_fields(column: Column, at: int, tag: str, models: Models, state: ModelView) -> None:
    """Of a prompt: which model, and with which features."""
    loaded = f"the loaded one ({short_features(state.name)}, {short_features(state.features)})"
    chosen, is_typed = _one_of(
        f"Model of column {at + 1}",
        ["", *models, *(choice.model for choice in _typed())],
        column.model,
        f"compare_model_{tag}",
        "One on this machine: a preset, or the folder or Hub id of another. At most one is loaded beside the one that"
        " is.",
        lambda name: name or loaded,
    )
    if chosen != column.model:
        column.model, column.features = chosen, NEURONS
    if is_typed:
        _remember(Choice(chosen, NEURONS))
    if not chosen:
        return
    column.features, is_typed = _one_of(
        f"Features of column {at + 1}",
        [*models.get(chosen, [NEURONS]), *(choice.features for choice in _typed() if choice.model == chosen)],
        column.features,
        f"compare_features_{tag}_{chosen}",
        "Neurons, one of the model's sets on this machine, or a folder with transcoders.",
        str,
    )
    if is_typed and (chosen in models or Choice(chosen, NEURONS) in _typed()):  # else a link has named the model
        _remember(Choice(chosen, column.features))


def _one_of(
    label: str, options: list[str], now: str, key: str, about: str, name: Callable[[str], str]
) -> tuple[str, bool]:
    """What is chosen, and whether it was typed just now. What a link alone has brought is no option."""
    options = list(dict.fromkeys(options))
    chosen = st.selectbox(
        label,
        options,
        index=options.index(now) if now in options else None,
        placeholder=now,
        format_func=name,
        key=key,
        accept_new_options=True,
        help=about,
    )
    return (now, False) if chosen is None else (chosen, chosen not in options)


def _remember(typed: Choice) -> None:
    """It is an option from now on, and may be loaded if it is on this machine."""
    _typed()[typed] = None
    st.rerun()


def _typed() -> dict[Choice, None]:
    """In this tab, in the order in which they came."""
    return st.session_state.setdefault("compare_typed", {})
