"""What the captions of the guided demos say, measured again on the default model, by the engine alone."""

import re
from collections.abc import Callable

import pytest

from tracer import Edit, Graph
from tracer.replacement import ReplacementModel
from tracer.steering.controls import matched, share
from ui.demo import request, steered, strangers
from ui.demo_steps import DEMOS, FEATURES, MODEL, N_CONTROLS, Scene, Step
from ui.steer_draft import edits_of

STEPS = [pytest.param(step, id=f"{demo.id}-{n}") for demo in DEMOS.values() for n, step in enumerate(demo.steps, 1)]


def placed(node: str) -> tuple[int, int, int]:
    layer, feature, position = map(int, node.split("_"))
    return layer, position, feature


def measure(model: ReplacementModel, graph: Graph, step: Step) -> tuple[dict[str, float], list[str]]:
    """Every figure that a step may state, and the five likeliest tokens under its edits."""
    found: dict[str, float] = {}
    if step.select is not None:
        features = graph.influence[: graph.layout.n_features]
        found["place"] = 1 + int((features > features[graph.index[step.select]]).sum())
    if not step.edits:
        return found, []
    scene, ids = step.scene, model.token_ids(step.scene.prompt)
    edits = [Edit(*placed(node), factor=factor) for name, factor in step.edits.items() for node in scene.circuit[name]]
    circuit = {(layer, feature) for nodes in scene.circuit.values() for layer, _, feature in map(placed, nodes)}
    run = model.steer(tokens=ids, edits=edits)
    answer = model.token_id(scene.answer)
    controls = matched(model, [ids], edits, "features", n=N_CONTROLS, avoid=circuit)
    drawn = [control.prompts[0] for control in controls.sets]
    others = [float(r.delta[answer]) for r in model.steer_many(tokens=ids, conditions=drawn)]
    assert len(others) == N_CONTROLS
    likeliest = run.logits.topk(5).indices.tolist()
    found |= {
        "before": float(run.baseline_probabilities[answer]),
        "after": float(run.probabilities[answer]),
        "delta": float(run.delta[answer]),
        "as_much": share(float(run.delta[answer]), others)[0],
        "other": float(run.probabilities[likeliest[0]]),
    }
    return found, [model.token_text(id) for id in likeliest]


@pytest.fixture(scope="session")
def traced(gemma: ReplacementModel) -> Callable[[Scene], Graph]:
    graphs: dict[str, Graph] = {}

    def graph(scene: Scene) -> Graph:
        if scene.prompt not in graphs:
            asked = request(gemma, scene)
            graphs[scene.prompt] = gemma.trace(tokens=list(asked.tokens), max_nodes=asked.max_nodes)
        return graphs[scene.prompt]

    return graph


@pytest.mark.default_model
@pytest.mark.parametrize("step", STEPS)
def test_captions_state_what_is_measured(gemma: ReplacementModel, traced: Callable[[Scene], Graph], step: Step) -> None:
    assert (gemma.name, gemma.basis.name) == (MODEL, FEATURES)
    graph = traced(step.scene)
    assert strangers(graph, step.scene) == []
    found, likeliest = measure(gemma, graph, step)
    print(step.title, found, likeliest)
    for name, stated in step.figures.items():
        exact = name in ("place", "as_much")
        assert found[name] == pytest.approx(stated, abs=0 if exact else 0.05 if name == "delta" else 0.005), name
    if step.edits:
        assert likeliest[0] == (step.other or step.scene.answer) and set(step.also) <= set(likeliest)
    if step.select is not None:
        layer, _, feature = placed(step.select)
        said = [token for side in gemma.says(layer, feature, 8) for token, _ in side]
        assert set(step.words) <= set(said) and all(word.strip() in step.says for word in step.words)


@pytest.mark.default_model
@pytest.mark.parametrize("step", [step for step in STEPS if step.values[0].edits])
def test_a_step_steers_what_its_caption_says(
    gemma: ReplacementModel, traced: Callable[[Scene], Graph], step: Step
) -> None:
    made = steered(gemma, "key", traced(step.scene), step)
    edits = [Edit(*placed(n), factor=f) for name, f in step.edits.items() for n in step.scene.circuit[name]]
    assert edits_of(made.rows, {}) == edits
    assert made.follow == gemma.token_id(step.scene.answer) and made.tokens == tuple(gemma.token_ids(made.prompt))
    assert (made.protocol, made.controls.kind, made.controls.n, made.controls.seed) == ("clamp", "features", 20, 0)


@pytest.mark.parametrize("step", STEPS)
def test_no_figure_is_typed_into_a_caption(step: Step) -> None:
    """But for layers, neurons and amounts, which the step has as data."""
    known = {number for nodes in step.scene.circuit.values() for node in nodes for number in node.split("_")[:2]}
    known |= {f"{abs(amount):g}" for amount in step.edits.values()} | {str(N_CONTROLS)}
    for text in (step.says, step.unproven):
        assert set(re.findall(r"\d+", re.sub(r"\{.*?\}", "", text))) <= known
        assert step.text(text)
    assert set(re.findall(r"\{(\w+)", step.says + step.unproven)) | {"before", "after", "as_much"} >= set(step.figures)
