"""A line that follows by itself: drawn while there is something to say, and one run of the page at the end."""

from streamlit.testing.v1 import AppTest


def page() -> None:
    import streamlit as st

    from ui.follow import follow

    state = st.session_state
    state["runs"] = state.get("runs", 0) + 1

    def words() -> str | None:
        return next(state["says"], None)

    st.write("under way" if follow(words) else "over")


def opened(*says: str) -> AppTest:
    app = AppTest.from_function(page)
    app.session_state["says"] = iter(says)
    return app.run()


def test_while_there_is_something_to_say() -> None:
    app = opened("10 %", "20 %")
    assert ([c.value for c in app.caption], [m.value for m in app.markdown]) == (["20 %"], ["under way"])
    assert app.session_state["runs"] == 1


def test_when_it_ends_the_page_runs_once() -> None:
    app = opened("99 %")  # and then no more: at its next look
    assert (list(app.caption), [m.value for m in app.markdown]) == ([], ["over"])
    assert app.session_state["runs"] == 2
    assert opened().session_state["runs"] == 1
