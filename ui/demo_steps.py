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
    """A prompt, the token that is followed, and its circuit: supernodes, by the ids of their nodes."""

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
    other: str | None = None  # a token that the edits bring up: the likeliest then

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


ENGLISH = Scene("Michael Jordan plays the sport of", " basketball", {"ball games": ("13_1012_6",)})
DEMOS = {"basketball": Demo("basketball", "One neuron, two languages", "x.", (Step("a", ENGLISH, "s", "u"),))}
