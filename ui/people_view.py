"""Who is here, what each may do, and which of them are one person. Draws nothing for anybody but an admin."""

import streamlit as st

from lab import Known, LabError, Role
from ui.session import get_lab, me
from ui.sidebar import plain, sentence
from ui.told import told

MEANS = {
    Role.VIEWER: "reads what the lab shares; can try edits, but neither trace, save nor run",
    Role.EDITOR: "writes into the record and asks the model",
    Role.ADMIN: "gives roles, merges persons, changes the model for everybody, clears the cache, holds the queue",
}


def people() -> None:
    try:
        known = get_lab().people(me())
    except LabError as problem:
        st.error(sentence(problem))
        st.stop()
    st.caption(" · ".join(f"**{role}** {means}" for role, means in MEANS.items()))
    st.caption(
        "Who stands in HYPOGRAPH_ADMINS becomes an admin again with each page they open; who is taken out of it stays"
        " one until that is changed here."
    )
    for one in known:
        _row(one)
    _merging(known)


def _row(one: Known) -> None:
    with st.container(border=True, key=f"person_{one.person.id}"):
        name, role = st.columns([4, 1.5], vertical_alignment="center")
        you = " (you)" if one.person.id == me().id else ""
        records = "no records" if one.records == 0 else f"{one.records:,} record{'s' * (one.records > 1)}"
        name.markdown(f"**{plain(one.person.name)}**{you}")
        since = f"{one.created.astimezone():%d %b %Y}"
        name.text(f"{'; '.join(one.logins)} · since {since} · {records}")  # Markdown makes links of them
        key = f"role_{one.person.id}_{one.person.role}"  # what somebody else gave meanwhile is shown
        role.selectbox(
            f"Role of {plain(one.person.name)}",
            list(Role),
            index=list(Role).index(one.person.role),
            key=key,
            label_visibility="collapsed",
            on_change=_give_role,
            args=(one, key),
        )


def _give_role(one: Known, key: str) -> None:
    if not told(lambda: get_lab().give_role(one.person.id, st.session_state[key], me())):
        st.session_state[key] = one.person.role


def _merging(known: list[Known]) -> None:
    """Of one person with two logins."""
    if len(known) < 2:
        return
    names = {one.person.id: f"{one.person.name} ({one.logins[0]})" for one in known}
    with st.popover("Merge two persons", icon=":material/merge:"):
        st.caption(
            "For one person with two logins: what the first owns and wrote becomes the second's, and both logins lead"
            " to the second. Frozen versions keep the name that was hashed with them."
        )
        gone = st.selectbox("This login", list(names), format_func=names.__getitem__, index=None, key="merge_gone")
        others = [id for id in names if id != gone]
        into = st.selectbox("is this person's", others, format_func=names.__getitem__, index=None, key="merge_into")
        sure = st.checkbox("It can't be undone: I am sure that they are one", key="merge_sure")
        ready = bool(gone and into and sure)
        merge = st.button("Merge", type="primary", disabled=not ready, key="merge")
        if merge and gone and into and told(lambda: get_lab().merge(gone, into, me())):
            for name in ("merge_gone", "merge_into", "merge_sure"):
                del st.session_state[name]
            st.rerun()
