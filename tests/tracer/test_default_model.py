"""The embedded model, really: its tokens, exact rows, direct effects, and what the selection is worth."""

import pytest

from tests.tracer.test_direct import check_direct
from tracer.graph.compare import compare_features, compare_targets, shared_influence

pytestmark = pytest.mark.default_model

SPORT = "Michael Jordan plays the sport of"
SPANISH = "Hecho: Michael Jordan juega al"
PROMPTS = {
    SPORT: (" basketball", 0.758),
    SPANISH: (" baloncesto", 0.468),
    'Le contraire de "petit" est "': ("grand", 0.346),
    "The capital of France is the city of": (" Paris", 0.518),
    "When Mary and John went to the store, John gave a drink to": (" Mary", 0.853),
}


@pytest.fixture(scope="session")
def model(gemma):
    return gemma


@pytest.fixture(scope="session")
def sport(model):
    return model.trace(SPORT)


def test_ids_start_with_bos(model):
    assert model.token_ids(SPORT)[0] == 2
    assert model.excluded_positions(model.token_ids(SPORT)) == [0]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_published_examples_give_their_tokens(model, prompt):
    token, probability = PROMPTS[prompt]
    top = model.next_tokens(model.token_ids(prompt), 1)[0]
    assert top.token == token
    assert top.probability == pytest.approx(probability, abs=0.01)


@pytest.fixture(scope="session")
def spanish(model):
    return model.trace(SPANISH)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_rows_sum(model, sport, spanish, prompt):
    known = {SPORT: sport, SPANISH: spanish}
    graph = known.get(prompt) or model.trace(prompt, max_nodes=300)
    assert graph.row_error < 1e-5
    assert graph.targets[0].token == PROMPTS[prompt][0]


def test_default_size(sport):
    assert sport.layout.n_features >= 1000
    assert sport.scores().replacement > 0.4
    assert len(sport.to_bytes()) < 20e6


def test_two_stages_explain_more_than_one(model, monkeypatch):
    """DESIGN §3: .34 against .24 for 500 nodes."""
    two = model.trace(SPORT, max_nodes=500).scores().replacement
    monkeypatch.setattr("tracer.replacement.n_candidates", lambda wanted: wanted)
    assert two > 1.2 * model.trace(SPORT, max_nodes=500).scores().replacement


def test_direct_effects_are_the_edges(model, sport):
    """Features of all layers with the largest influence, an error and a token.

    Logits of this model reach 30 and fp32 resolves them to a few 1e-6: edges are compared to 1e-4 with that much slack.
    """
    layout = sport.layout
    nodes = sport.nodes
    strongest = nodes[nodes.kind == "feature"].sort_values("influence").groupby("layer").tail(1).index
    sources = [*strongest[::2], layout.first_error + 5 * layout.n_tokens + 2, layout.first_embedding + 2]
    check_direct(model, sport, sources, logit_absolute=1e-4)


def test_feature_1012_of_layer_13_says_football(model):
    raised, _ = model.says(13, 1012, 10)
    assert any("ootball" in token for token, _ in raised)


def test_one_neuron_leads_the_english_and_the_spanish_prompt(sport, spanish):
    """DESIGN §9: neuron 1012 of layer 13, in a comparison of the two graphs."""
    table = compare_features(sport, spanish)
    first = table.iloc[0]
    assert (first["layer"], first["feature"], first["where"]) == (13, 1012, "both")
    for side in ("left", "right"):
        assert first[f"influence_{side}"] == table[f"influence_{side}"].max()
    left, right = shared_influence(table)
    assert 0.2 < left < 1 and 0.2 < right < 1
    targets = compare_targets(sport, spanish).set_index("token")
    assert targets.loc[" basketball", "probability_left"] == pytest.approx(0.758, abs=0.01)
    assert targets.loc[" baloncesto", "probability_right"] == pytest.approx(0.468, abs=0.01)


def test_activations_at_each_token(model, sport):
    record, layout = model.record(sport.token_ids), sport.layout
    for node in range(0, layout.n_features, 97):
        values = model.activations(record, int(layout.layer[node]), int(layout.feature[node]))
        assert float(values[layout.position[node]]) == pytest.approx(float(sport.activation[node]), abs=1e-4, rel=1e-4)
