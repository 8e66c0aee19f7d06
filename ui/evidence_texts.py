"""What the model goes on to say after one test prompt, without the edit and with it. Made when asked: it takes time."""

import streamlit as st

from lab import LabError, Record
from lab.runs.bodies import RunBody
from lab.runs.plan import make_plan
from lab.runs.result import Result
from service import Service
from tracer import ReplacementModel, Sampling, TracerError
from ui.loaded_model import loaded_model
from ui.sidebar import plain, sentence
from ui.steer_text import MOST, generate, show_texts

TOKENS = 20


@st.fragment
def sample_texts(service: Service, record: Record[RunBody], found: Result) -> None:
    run = record.head.body
    st.markdown("#### What it says then")
    if (model := loaded_model(service)) is None:
        return
    made = run.made_with
    if (made.model_fingerprint, made.basis_fingerprint) != (model.model_fingerprint, model.basis_fingerprint):
        st.caption(
            plain(f"Load {run.body.model} with {run.body.features} to see its texts without the edit and with it.")
        )
        return
    name = f"evidence_texts_{record.id}"  # two runs have each their own
    texts = {line.number: line.text for line in found.prompts if not line.excluded}
    which, length, go = st.columns([5, 2, 2], vertical_alignment="bottom")
    number = which.selectbox(
        "Test prompt", list(texts), format_func=lambda n: f"{n} · {texts[n]}", key=f"{name}_prompt"
    )
    n = int(length.number_input("Tokens", 1, MOST, TOKENS, key=f"{name}_n", persist_state="session"))
    pressed = go.button("Generate", key=f"{name}_generate", width="stretch")
    if number is None:
        return
    asked = repr((run.hash, number, n))
    if pressed:
        _generate(name, asked, model, run, number, n)
    with st.container():
        show_texts(name, model, asked)
    st.caption(
        f"Always the likeliest token, with the edit of the primary dose on the prompt's tokens (protocol"
        f" {run.body.intervention.protocol}); nothing is held on what is generated. One text of one prompt: it decides"
        " nothing."
    )


def _generate(name: str, asked: str, model: ReplacementModel, run: RunBody, number: int, n: int) -> None:
    body, held = run.body, run.body.intervention
    try:
        prompt = next(prompt for prompt in make_plan(body, model).prompts if prompt.number == number)
    except (LabError, TracerError) as problem:
        st.error(sentence(problem))
        return
    generate(name, asked, model, prompt.ids, prompt.doses[0], held.protocol, held.layers, n, Sampling(0.0))
