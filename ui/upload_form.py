"""Publish the graph on the screen on Neuronpedia: there only with a key; says what will be sent, and asks."""

from collections.abc import Callable
from urllib.parse import urlsplit

import streamlit as st

from service.upload import UploadError, upload
from tracer import Graph, TracerError
from tracer.interchange.naming import scan_of
from ui.session import get_service
from ui.sidebar import plain


def upload_form(
    name: str, graph: Graph, document: Callable[[str, str | None, str | None], bytes], place: str = ""
) -> None:
    """`document` makes the file of a slug, Neuronpedia's name of the model, and that of the feature set.

    What is typed and ticked is of the graph `name` alone: nobody agrees for another one.
    """
    settings = get_service().settings
    if not settings.neuronpedia_key:
        return
    host = urlsplit(settings.neuronpedia).netloc
    with st.expander(f"Upload to {host}"):
        own = f"{name}{place}"
        slug = st.text_input("Name of the graph there", name, key=f"upload_slug_{own}", max_chars=100)
        scan = st.text_input("What the model is called there", scan_of(graph), key=f"upload_scan_{own}", max_chars=100)
        source_set = st.text_input(
            "What the feature set is called there",
            key=f"upload_set_{own}",
            max_chars=100,
            placeholder="only if it knows the set",
        )
        prompt = str(graph.meta["prompt"])
        shown = prompt if len(prompt) <= 200 else prompt[:200] + "…"
        st.caption(
            f"Sent to {plain(host)}: the graph as pruned here, of model **{plain(scan)}**, its prompt “{plain(shown)}”,"
            " its tokens, and the labels, pins and groups that the JSON file has. Anybody with the link can read it."
        )
        agreed = st.checkbox("Send this, for everybody to read", key=f"upload_agreed_{own}")
        if st.button("Upload", key=f"upload_go_{own}", disabled=not agreed, width="stretch"):
            with st.spinner("Uploading…"):
                try:
                    page = upload(
                        document(slug, scan or None, source_set or None), settings.neuronpedia, settings.neuronpedia_key
                    )
                    st.session_state["uploaded"] = (name, page)
                except (UploadError, TracerError) as problem:
                    st.session_state.pop("uploaded", None)
                    st.error(f"Not uploaded: {plain(str(problem))}.")
        of, page = st.session_state.get("uploaded", (None, ""))
        if of == name:
            st.success("Uploaded.")
            st.link_button("Open it there", page, width="stretch")
