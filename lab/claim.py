"""What a hypothesis is about: the circuit, what is done to it, and against which controls."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lab.bodies import MOST_NODES, Layer, Line, Part
from lab.splits import Seed
from lab.token_places import TokenPlace
from tracer.steering.edits import LARGEST

Unit = Literal["factor", "value", "maximum", "donor"]
Amount = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
MOST_SUPERNODES = 200


class CircuitNode(Part):
    """A feature, and the token that it is at on each prompt. `maximum`: its largest known activation, where an edit is
    in units of it: kept here, because what is known grows."""

    layer: Layer
    feature: Annotated[int, Field(ge=0)]
    at: TokenPlace = TokenPlace()
    maximum: Positive | None = None

    @property
    def which(self) -> tuple[int, int]:
        return self.layer, self.feature

    def __str__(self) -> str:
        return f"layer {self.layer}, feature {self.feature} at {self.at}"


class Supernode(Part):
    name: Line
    nodes: tuple[CircuitNode, ...] = Field(min_length=1, max_length=MOST_NODES)


Supernodes = Annotated[tuple[Supernode, ...], Field(max_length=MOST_SUPERNODES)]


class Setting(Part):
    """What one supernode is set to, as in `SteeredRow`: an amount × its own activation (`factor`), an activation
    (`value`), its own + an amount × the maximum (`maximum`), an amount × that on each prompt's donor (`donor`).
    """

    supernode: Line
    unit: Unit = "factor"
    primary: Amount  # decides; controls are run with it
    others: tuple[Amount, ...] = Field(default=(), max_length=50)  # for dose and response

    @property
    def changes_nothing(self) -> bool:
        return (self.unit, self.primary) in (("factor", 1.0), ("maximum", 0.0))


class Intervention(Part):
    """The settings act together, dose by dose: first `primary`, then each of `others`. Supernodes that are not set are
    looked at, and never count as set."""

    settings: tuple[Setting, ...] = Field(min_length=1, max_length=MOST_SUPERNODES)
    protocol: Literal["direct", "constrained", "clamp", "free"] = "clamp"
    layers: tuple[Layer, Layer] | None = None  # of `constrained`: (a, b), b not included

    @property
    def doses(self) -> list[tuple[float, ...]]:
        """One amount a setting; the first is the primary dose, on which the verdict rests."""
        return [*zip(*([setting.primary, *setting.others] for setting in self.settings), strict=True)]

    @model_validator(mode="after")
    def _is_whole(self) -> "Intervention":
        names = [setting.supernode for setting in self.settings]
        if len(set(names)) < len(names):
            raise ValueError("settings: a supernode is set twice; give it one setting")
        if len({len(setting.others) for setting in self.settings}) > 1:
            raise ValueError("settings: others must be as many for each supernode, as they act dose by dose")
        if len(set(self.doses)) < len(self.doses):
            raise ValueError("settings: a dose is there twice; leave one of the two out")
        if all(setting.changes_nothing for setting in self.settings):
            raise ValueError("settings: the primary dose changes nothing (factor 1, or 0 of the maximum); give another")
        if (self.protocol == "constrained") != (self.layers is not None):
            raise ValueError("layers: they are for the protocol constrained, which needs them, and for no other")
        if self.layers is not None and self.layers[0] >= self.layers[1]:
            raise ValueError("layers: give (a, b) with a < b; b is not included")
        return self


class ControlFamily(Part):
    """`sets` matched edits that should do nothing special, drawn with `seed`, each applied to all prompts."""

    kind: Literal["features", "directions", "positions", "sign"] = "features"
    sets: Annotated[int, Field(ge=1, le=10_000)] = 199  # R
    seed: Seed

    @model_validator(mode="after")
    def _one_sign(self) -> "ControlFamily":
        if self.kind == "sign" and self.sets != 1:
            raise ValueError("sets: there is one set of controls of kind sign; give 1")
        return self


class Exclusion(Part):
    """A prompt is left out unless, without the edit, the target's figure is at least (for rank: at most) the bound."""

    rule: Literal["none", "logit_difference", "probability", "rank"]
    bound: Annotated[float, Field(ge=-LARGEST, le=LARGEST)] | None = None  # nats; probability; 1 for the likeliest

    @model_validator(mode="after")
    def _has_a_bound(self) -> "Exclusion":
        if (self.rule == "none") != (self.bound is None):
            raise ValueError("bound: every rule but none needs one, and none has none")
        return self

    def excludes(self, figure: float) -> bool:
        """`figure`: what the rule is about, on the prompt without the edit."""
        if self.bound is None:
            return False
        return figure > self.bound if self.rule == "rank" else figure < self.bound

    def leaves_out(self, baseline: object) -> bool:
        """`baseline`: what the model says without the edit, by rule; None is not known."""
        figure = None if self.rule == "none" else getattr(baseline, self.rule)
        return figure is not None and self.excludes(figure)


class Stop(Part):
    """All test prompts are run before anything is decided: nobody stops because the figures please. Where the
    exclusion leaves fewer units than `fewest_units`, nothing is decided."""

    when: Literal["all_prompts"] = "all_prompts"
    fewest_units: Annotated[int, Field(ge=2)]
