"""Which features graphs are made of: the loaded set, and those that may be loaded in its place."""

import streamlit as st

from service import Service
from tracer import hub
from tracer.presets import PRESETS, FeatureSource
from ui.session import me
from ui.sidebar import plain, short_features
from ui.told import told

NEURONS = "neurons"


def feature_picker(service: Service) -> None:
    """For everybody on this server: there is one loaded model."""
    state = service.model_state()
    preset = PRESETS.get(state.name)
    sources = {source.name: source for source in (preset.features if preset else ())}
    options = list(dict.fromkeys([NEURONS, *sources, state.features]))
    with st.popover(f"Features: {plain(short_features(state.features))}", icon=":material/category:"):
        st.caption(
            "What the features of a graph are: the model's own neurons, or the latents of transcoders trained on it."
            " A change is for everybody on this server, once the queue is empty; graphs made before stay."
        )
        chosen = st.selectbox(
            "Feature set",
            options,
            index=options.index(state.features),
            key=f"features_of_{state.name}_{state.features}",
            accept_new_options=True,
            help="One of this model's sets, a folder with transcoders, or a Hub reference"
            " org/name[/folder][@revision].",
        )
        st.caption(_about(chosen, sources))
        load = st.button("Load it", type="primary", disabled=not chosen or chosen == state.features)
        if load and told(lambda: service.switch_model(state.name, chosen, me())):
            st.rerun()


def feature_trouble(service: Service) -> None:
    """Why the last change did not come about."""
    if trouble := service.model_state().trouble:
        st.error(f"The feature set was not loaded: {plain(trouble)}.")


def _about(chosen: str, sources: dict[str, FeatureSource]) -> str:
    if chosen == NEURONS:
        return "MLP neurons: nothing to download; every row of a graph sums to its activation."
    source = sources.get(chosen)
    if source is None:
        return "A set of your own, in circuit-tracer's or GemmaScope's layout."
    here = "on this machine" if hub.is_here(source.reference) else "to be downloaded"
    return plain(f"{source.reference}: {source.kind.upper()}, {source.size}, {here}. Licence: {source.licence}.")
