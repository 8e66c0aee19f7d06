"""The parts of the System page: each a small table."""

import platform
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version

import pandas as pd
import psutil
import streamlit as st
import torch

from cache import CacheError
from lab import LabError, Role
from lab.database import without_password
from service import Refused, Service
from service.monitor import HOST, MONITOR
from tracer import ENGINE_VERSION
from tracer.model.packages import package_files
from tracer.presets import PRESETS
from ui.session import get_lab, me
from ui.sidebar import plain, sentence
from ui.told import told

PACKAGES = ("streamlit", "torch", "transformers", "scipy", "pandas", "altair", "diskcache", "safetensors", "gguf")


def _facts(facts: Mapping[str, object], label: str, width: int = 75) -> None:
    """`width`: pixels of the names."""
    table = pd.DataFrame({"what": list(facts), "value": [str(v) for v in facts.values()]})
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        alt=label,
        column_config={"what": st.column_config.TextColumn(width=width)},
    )


@st.fragment(run_every=2.0)
def model_section(service: Service) -> None:
    st.subheader("Model")
    state, model = service.model_state(), service.model
    facts: dict[str, object] = {"name": state.name, "state": state.state}
    if state.error:
        facts["error"] = state.error
    if model is not None:
        weights = model.anatomy.weight_bytes
        facts |= {
            "features": f"{model.basis.name} ({model.n_layers} layers × {model.basis.n_features:,})",
            "device": model.device,
            "weights": f"{str(model.dtype).removeprefix('torch.')}, {weights / 1e9:.2f} GB",
            "arithmetic": "float32",
            "fingerprint": model.model_fingerprint[:16],
            "what features fire on": _read_so_far(service.dashboards()),
        }
    jobs = service.jobs()
    running = sum(1 for job in jobs if job.state == "running")
    waiting = sum(1 for job in jobs if job.state == "queued")
    facts["queue"] = f"{running} running, {waiting} waiting, at most {service.settings.queue}"
    _facts(facts, "the loaded model")


def _read_so_far(share: float | None) -> str:
    if share is None:
        return "not collected"
    return "collected" if share == 1 else f"{share:.0%} of the corpus read so far"


@st.fragment(run_every=5.0)
def loaded_section(service: Service) -> None:
    """All models in memory, where there is more than one or a budget for them."""
    loaded, budget = service.loaded_models(), service.settings.models_gb
    if len(loaded) < 2 and budget is None:
        return
    st.subheader("Models in memory")
    rows = [
        {
            "model": one.choice.model,
            "features": one.choice.features,
            "weights, GB": round(one.bytes / 1e9, 2),
            "used": "by all jobs" if one.main else f"{_ago(one.used)}, to compare",
        }
        for one in loaded
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content", alt="the models in memory")
    if budget is not None:
        st.caption(
            f"They may take {budget:g} GB (HYPOGRAPH_MODELS_GB): where another one needs room, the one longest unused"
            " is unloaded. Those of one model share its weights."
        )


def _ago(moment: float) -> str:
    seconds = max(0, round(time.time() - moment))
    return f"{seconds} s ago" if seconds < 120 else f"{seconds // 60:,} min ago"


def model_switch(service: Service) -> None:
    """Serve another model, for everybody on this server."""
    here = [p.name for p in PRESETS.values() if p.package is None or package_files(p.package)]
    with st.popover("Switch the model"):
        st.caption("For everybody on this server, once the queue is empty. Graphs of other models stay in the cache.")
        name = st.selectbox("Model", here, accept_new_options=True, help="A preset, a folder, or a Hub id.")
        load = st.button("Load it", type="primary", disabled=not name)
        if load and name and told(lambda: service.switch_model(name, "neurons", me())):
            st.toast("The switch is under way; the sidebar shows how far it is.")


def machine(service: Service) -> None:
    st.subheader("Machine")
    memory = psutil.virtual_memory()
    own = psutil.Process().memory_info().rss
    _facts(
        {
            "system": f"{platform.system()} {platform.machine()}",
            "cores": f"{psutil.cpu_count()}, {torch.get_num_threads()} used by the engine",
            "memory": f"{memory.available / 1e9:.1f} GB free of {memory.total / 1e9:.1f} GB",
            "this process": f"{own / 1e9:.2f} GB",
            "GPU": _gpu(service),
        },
        "the machine",
    )


def _gpu(service: Service) -> str:
    """The one that the model is on; before that, the first."""
    if not torch.cuda.is_available():
        return "none"
    model = service.model
    return torch.cuda.get_device_name(model.device if model and model.device.type == "cuda" else None)


def cache_section(service: Service) -> None:
    st.subheader("Cache")
    cache = service.cache
    _facts(
        {
            "graphs": f"{len(cache):,}",
            "size": f"{cache.volume() / 1e6:,.0f} MB of {cache.size_limit / 1e9:g} GB",
            "folder": cache.folder,
        },
        "the cache of graphs",
    )
    with st.popover("Clear the cache"):
        st.write("Removes every cached graph of this machine. They can be traced again.")
        if st.button("Remove all graphs", type="primary"):
            try:
                st.toast(f"Removed {service.clear_cache(me()):,} graphs.")
            except (CacheError, Refused) as problem:
                st.error(sentence(problem))


def disk_section(service: Service) -> None:
    """Who uses how much, for admins; nobody is counted where there is no quota."""
    limit = service.settings.quota_mb
    if limit is None or me().role is not Role.ADMIN:
        return
    st.subheader("Disk, by person")
    try:
        names = {one.person.id: one.person.name for one in get_lab().people(me())}
        uses = service.uses(me())
    except (LabError, Refused) as problem:
        st.error(sentence(problem))
        return
    rows = [
        {
            "person": names.get(id, "(erased)"),
            "graphs, MB": round(use.graphs / 1e6, 2),
            "records, MB": round(use.texts / 1e6, 2),
            "of the quota": f"{use.total / limit / 1e6:.0%}",
        }
        for id, use in sorted(uses.items(), key=lambda item: -item[1].total)
    ]
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True, height="content", alt="use of the disk by person")
    st.caption(
        f"Each may use {limit:,} MB (HYPOGRAPH_QUOTA_MB). What was asked for before that was set counts for nobody."
    )


def versions() -> None:
    st.subheader("Versions")
    facts: dict[str, object] = {"engine": ENGINE_VERSION, "Python": sys.version.split()[0]}
    _facts(facts | {name: version(name) for name in PACKAGES}, "versions")


def settings_section(service: Service) -> None:
    st.subheader("Settings")
    settings = service.settings
    _facts(
        {
            "HYPOGRAPH_HOME": settings.home,
            "HYPOGRAPH_CACHE": settings.cache,
            "HYPOGRAPH_CACHE_GB": settings.cache_gb,
            "HYPOGRAPH_DATABASE_URL": without_password(settings.database),
            "HYPOGRAPH_MODEL": settings.model,
            "HYPOGRAPH_FEATURES": settings.features,
            "HYPOGRAPH_DEVICE": settings.device,
            "HYPOGRAPH_DTYPE": settings.dtype,
            "HYPOGRAPH_OFFLOAD": int(settings.offload),
            "HYPOGRAPH_DASHBOARDS": int(settings.build_dashboards),
            "HYPOGRAPH_MAX_TOKENS": settings.max_tokens,
            "HYPOGRAPH_QUEUE": settings.queue,
            "HYPOGRAPH_QUEUE_PERSON": settings.queue_person,
            "HYPOGRAPH_IMPORT_MB": settings.import_mb,
            "HYPOGRAPH_IMPORT_NODES": f"{settings.import_nodes:,}",
            "HYPOGRAPH_IMPORT_EDGES": f"{settings.import_edges:,}",
            "HYPOGRAPH_IMPORT_DEPTH": settings.import_depth,
            "HYPOGRAPH_STOP_SECONDS": settings.stop_seconds,
            "HYPOGRAPH_RAY_ADDRESS": settings.ray_address or "not set",
            "HYPOGRAPH_QUOTA_MB": _or_not(settings.quota_mb),
            "HYPOGRAPH_MODELS_GB": _or_not(settings.models_gb),
            "HYPOGRAPH_METRICS_PORT": _port(settings.metrics_port),
            "HYPOGRAPH_LOG_PROMPTS": int(settings.log_prompts),
            "HYPOGRAPH_NEURONPEDIA": settings.neuronpedia,
            "NEURONPEDIA_API_KEY": "set" if settings.neuronpedia_key else "not set",
        },
        "settings",
        width=205,
    )


def _or_not(value: float | None) -> str:
    return "not set" if value is None else f"{value:,g}"


def _port(port: int | None) -> str:
    if port is None:
        return "not set"
    return f"{port}, but {MONITOR.problem}" if MONITOR.problem else f"{port} on {HOST}"


def licences() -> None:
    st.subheader("Models and their licences")
    presets = list(PRESETS.values())
    for terms in dict.fromkeys(preset.terms for preset in presets):
        names = ", ".join(preset.name for preset in presets if preset.terms == terms)
        st.markdown(f"[{terms.name}]({terms.url}): {plain(names)}")
    for preset in presets:
        if preset.package:
            st.markdown(
                f"Weights of **{plain(preset.name)}** ({plain(preset.hub_id)}): {plain(preset.package.origin)}."
            )
    sets = [(source.licence, f"{preset.name} {source.name}") for preset in presets for source in preset.features]
    for licence in dict.fromkeys(licence for licence, _ in sets):
        st.markdown(f"Transcoders, {plain(licence)}: {plain(', '.join(name for own, name in sets if own == licence))}")
    st.caption("Gemma is provided under and subject to the Gemma Terms of Use. Hypograph itself: MIT.")
