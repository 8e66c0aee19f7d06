"""What the guided demos say and show, on the default model and its neurons.

Captions are for people who see it done: what is shown, and what it does not show. Their figures are `Step.figures`,
which a test measures again on the default model; so are the supernodes, and what each neuron raises.
"""

from dataclasses import dataclass, field
from typing import Literal

MODEL, FEATURES = "gemma-3-270m", "neurons"
N_CONTROLS = 20  # that the Steer page begins with


@dataclass(frozen=True)
class Scene:
    "A prompt, the token that is followed, and its circuit: supernodes, by the ids of their nodes."

    prompt: str
    answer: str
    circuit: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Step:
    title: str
    scene: Scene
    says: str  # what is shown; Markdown, with figures in braces
    unproven: str  # what it does not show; the same
    select: str | None = None  # the node whose card is open, on the Graph page
    edits: dict[str, float] = field(default_factory=dict)  # supernode → × own activation, on the Steer page
    figures: dict[str, float] = field(default_factory=dict)
    """place: of `select`, by influence. before, after: probability of the answer. delta: change of its logit less the
    mean. as_much: of N_CONTROLS controls, those that move it at least as far. other: probability after of `other`."""
    other: str | None = None  # the likeliest token under the edits, if it is another than the answer
    also: tuple[str, ...] = ()  # tokens that the caption names of the five likeliest then
    words: tuple[str, ...] = ()  # that the caption names of those that `select` raises or lowers most

    @property
    def page(self) -> Literal["graph", "steer"]:
        return "steer" if self.edits else "graph"

    def text(self, what: str) -> str:
        return what.format(**self.figures)


@dataclass(frozen=True)
class Demo:
    id: str
    title: str
    about: str
    steps: tuple[Step, ...]


ENGLISH = Scene(
    "Michael Jordan plays the sport of",
    " basketball",
    {"ball games": ("13_1012_6",), "the name Jordan": ("3_1627_2", "5_1199_2", "3_2024_2")},
)
SPANISH = Scene(
    "Hecho: Michael Jordan juega al",
    " baloncesto",
    {"ball games": ("13_1012_7",), "the name Jordan": ("3_1627_5", "5_1199_5", "3_2024_5")},
)
FRENCH = Scene(
    'Le contraire de "petit" est "',
    "grand",
    {
        "French": ("15_249_8", "14_1912_8", "12_517_5", "13_289_8"),
        "size": ("12_2039_8", "13_1758_8"),
        "after a quotation mark": ("14_1676_8", "17_1563_8"),
    },
)
PARIS = Scene(
    "The capital of France is the city of",
    " Paris",
    {
        "cities": ("15_1650_8", "11_441_8", "10_1291_8"),
        "France": ("13_1142_8", "12_1808_8"),
        "brake": ("17_1388_8",),
        "on the word France": ("5_186_4", "3_864_4", "5_10_4"),
    },
)

BASKETBALL = Demo(
    "basketball",
    "Basketball in two languages",
    "One neuron leads an English and a Spanish prompt. Is it what makes the answer?",
    (
        Step(
            "The English graph",
            ENGLISH,
            "The model goes on with `basketball`. Of the features that its graph explains this by, neuron 1012 of"
            " layer 13 is number {place:.0f} by influence (its card's rank is among all nodes, errors too). It is"
            " selected: its card says that it raises words like `Football`, `球队` (team) and `stadion`. It is pinned,"
            " with three neurons at the token `Jordan`.",
            "A graph says what added up to the answer with attention and norms held as they were. That a feature"
            " leads does not say that the answer needs it. That takes a change in the model itself: the next steps.",
            select="13_1012_6",
            figures={"place": 1},
            words=("Football", "球队", " stadion"),
        ),
        Step(
            "Turned around",
            ENGLISH,
            "The neuron is set to −1 × its own activation. `basketball` falls from {before:.0%} to {after:.0%} and"
            " stays the likeliest. {as_much:.0f} of 20 controls, other active neurons of the same token and layer"
            " that write as much, lower its logit as far.",
            "That this neuron does anything special at this dose: {as_much:.0f} of 20 others do as much.",
            edits={"ball games": -1.0},
            figures={"before": 0.758, "after": 0.588, "as_much": 3},
        ),
        Step(
            "Turned around four times",
            ENGLISH,
            "At −4 × its activation `basketball` falls to {after:.1%}; {as_much:.0f} of 20 controls lower its logit"
            " as far.",
            "What it is for. No other sport takes the place: `his` comes first, with {other:.0%}. And −4 × is far"
            " from what the model does by itself: effects there say little about the ordinary run.",
            edits={"ball games": -4.0},
            figures={"before": 0.758, "after": 0.011, "as_much": 0, "other": 0.216},
            other=" his",
        ),
        Step(
            "The name, in English",
            ENGLISH,
            "Three neurons of layers 3 and 5 at the token `Jordan`, set to −1 × their activations: `basketball` falls"
            " from {before:.0%} to {after:.0%}. {as_much:.0f} of 20 controls, sets of three others there, do as much.",
            "That these three hold the fact: they may only carry who is meant, and other neurons take part. No other"
            " sport comes first, but `his`, with {other:.0%}.",
            edits={"the name Jordan": -1.0},
            figures={"before": 0.758, "after": 0.054, "as_much": 0, "other": 0.100},
            other=" his",
        ),
        Step(
            "The Spanish graph",
            SPANISH,
            "The same fact in Spanish: `baloncesto`. Neuron 1012 of layer 13 is number {place:.0f} here too, at"
            " another token of another sentence.",
            "That the two languages use it alike: the graph says how much flows through it, not what happens without"
            " it.",
            select="13_1012_7",
            figures={"place": 1},
        ),
        Step(
            "The shared neuron, in Spanish",
            SPANISH,
            "At −4 × its activation `baloncesto` falls from {before:.0%} to {after:.1%}. But {as_much:.0f} of 20"
            " controls lower its logit at least as far.",
            "That this neuron is what matters in Spanish, or that it is about sport: `piano` comes first,"
            " {other:.0%}. Against controls of the same size it does not stand out clearly: the claim of one neuron"
            " for two languages is not borne out here, though it leads both graphs.",
            edits={"ball games": -4.0},
            figures={"before": 0.468, "after": 0.016, "as_much": 3, "other": 0.061},
            other=" piano",
        ),
        Step(
            "The name, in Spanish",
            SPANISH,
            "The same three neurons of the name as in English, at −1 ×: `baloncesto` falls from {before:.0%} to"
            " {after:.0%}, and `fútbol` comes first with {other:.0%}. {as_much:.0f} of 20 controls do as much.",
            "More than two prompts about one man. Whether the three carry other names, or other facts about him,"
            " takes other prompts.",
            edits={"the name Jordan": -1.0},
            figures={"before": 0.468, "after": 0.122, "as_much": 0, "other": 0.152},
            other=" fútbol",
        ),
    ),
)
ANTONYM = Demo(
    "grand",
    "A French antonym, turned",
    "The opposite of petit is grand: what makes it French, what a size, what a word after a quotation mark?",
    (
        Step(
            "The graph",
            FRENCH,
            'The model says that the opposite of "petit" is `grand`. Three groups are pinned: neurons that lean to'
            " French, neurons about size, and two that act after a quotation mark. Selected is one about size, which"
            " raises `énorme` and `gigantic`; by influence it is number {place:.0f} of the features.",
            "That the groups are the model's own. We chose them by what each neuron raises and lowers, and by trying;"
            " the names are ours.",
            select="13_1758_8",
            figures={"place": 34},
            words=(" énorme", " gigantic"),
        ),
        Step(
            "Out of French",
            FRENCH,
            "The four French neurons at −2 ×: `grand` falls from {before:.0%} to {after:.1%}, and the likeliest word"
            " is English: `big`, {other:.0%}. The opposite is still an opposite. {as_much:.0f} of 20 controls do as"
            " much.",
            "That nothing else is disturbed, or that the model translates. `big` has less than half of the"
            " probability; the rest is spread over words of several languages.",
            edits={"French": -2.0},
            figures={"before": 0.346, "after": 0.002, "as_much": 0, "other": 0.382},
            other="big",
        ),
        Step(
            "French taken out",
            FRENCH,
            "The same neurons at 0: taken out, not turned around. `grand` falls to {after:.0%}, and `grande`, with"
            " {other:.0%}, comes first; `big` does not.",
            "That the model is out of French: `grande` is a word of French, Spanish, Italian and Portuguese. Taking a"
            " group out and turning it around are different claims.",
            edits={"French": 0.0},
            figures={"before": 0.346, "after": 0.079, "as_much": 0, "other": 0.613},
            other="grande",
        ),
        Step(
            "Without size",
            FRENCH,
            "Two neurons about size at −1 ×: the model repeats the word, `petit`, {other:.0%}. {as_much:.0f} of 20"
            " controls lower the logit of `grand` as far.",
            "That these two compute the opposite: without them the model may fall back to repeating what it read.",
            edits={"size": -1.0},
            figures={"before": 0.346, "after": 0.038, "as_much": 1, "other": 0.543},
            other="petit",
        ),
        Step(
            "The same word, another token",
            FRENCH,
            "Two neurons that act after the quotation mark, at −1 ×. `grand` falls from {before:.0%} to {after:.0%},"
            " and {as_much:.0f} of 20 controls do as much: a large effect. But the likeliest is now ` grand`, with a"
            " space before it, {other:.0%}: the same answer.",
            "A change of the answer. Only the form changed. A single token's logit can fall as far as you like while"
            " the model says the same thing: look at the whole list.",
            edits={"after a quotation mark": -1.0},
            figures={"before": 0.346, "after": 0.021, "as_much": 0, "other": 0.796},
            other=" grand",
        ),
    ),
)
CAPITAL = Demo(
    "paris",
    "France and Paris, taken apart",
    "Which neurons say a city, which say France, and which do nothing special?",
    (
        Step(
            "The graph",
            PARIS,
            "The model goes on with `Paris`. Pinned are three neurons that lean to names of cities, two that lean to"
            " France, three at the word `France`, and the one that leads the graph. Selected is one of the cities,"
            " number {place:.0f} of the features by influence. Its activation is negative: what its card says it"
            " lowers, like `Kampala` and `Amman`, it raises here.",
            "That the groups are the model's own: we chose them by what each neuron raises and lowers.",
            select="15_1650_8",
            figures={"place": 2},
            words=(" Kampala", " Amman"),
        ),
        Step(
            "Without cities",
            PARIS,
            "The three neurons of cities at 0: `Paris` falls from {before:.0%} to {after:.0%}, and the likeliest is"
            " `the`, {other:.0%}. {as_much:.0f} of 20 controls do as much.",
            "That the model no longer knows the capital: `Paris` is still among the likeliest. Other neurons say it"
            " too.",
            edits={"cities": 0.0},
            figures={"before": 0.518, "after": 0.139, "as_much": 0, "other": 0.181},
            other=" the",
            also=(" Paris",),
        ),
        Step(
            "A capital of another country",
            PARIS,
            "The two neurons of France at −4 ×: `Paris` falls to {after:.1%}, and first comes `London`, {other:.0%},"
            " with `Amsterdam` and `Berlin` close by. {as_much:.0f} of 20 controls lower the logit of `Paris` as far.",
            "That a country was put in place of France: `London` has {other:.0%} and no more. And −4 × is far from"
            " what the model does by itself.",
            edits={"France": -4.0},
            figures={"before": 0.518, "after": 0.001, "as_much": 0, "other": 0.062},
            other=" London",
            also=(" Amsterdam", " Berlin"),
        ),
        Step(
            "The neuron that leads holds back",
            PARIS,
            "The most influential neuron of the graph, at 0: `Paris` rises from {before:.0%} to {after:.0%}. It"
            " worked against the answer. {as_much:.0f} of 20 controls raise its logit as far.",
            "That influence means support. It counts strength, whatever its sign.",
            edits={"brake": 0.0},
            figures={"before": 0.518, "after": 0.780, "as_much": 0},
        ),
        Step(
            "At the word France: nothing special",
            PARIS,
            "Three neurons at the word `France` itself, all among the graph's most influential, at −1 ×. `Paris` goes"
            " from {before:.0%} to {after:.0%}; its logit changes by {delta:+.1f}, and {as_much:.0f} of 20 controls"
            " lower it at least as far.",
            "That the word does not matter. These three do no more than others of their size: a plausible group, and"
            " no support for it. Without controls nobody would have seen that.",
            edits={"on the word France": -1.0},
            figures={"before": 0.518, "after": 0.584, "delta": -0.70, "as_much": 5},
        ),
    ),
)
DEMOS = {demo.id: demo for demo in (BASKETBALL, ANTONYM, CAPITAL)}
