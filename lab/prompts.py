"""The prompts of a hypothesis: texts with named slots, each with the token expected next and one it competes with."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from lab.bodies import Part

MOST_PROMPTS = 1_000
MOST_SLOTS = 20

PromptText = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"^[^\x00]*$")]
SlotName = Annotated[str, StringConstraints(pattern=r"^\w{1,60}$")]
Family = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\r\n\x00]*$")]
TokenText = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
Use = Literal["discovery", "test"]


class Slot(Part):
    """A stretch of a prompt that stands for the same thing on other prompts: there the edit finds its token."""

    text: PromptText
    start: Annotated[int, Field(ge=0)]  # in characters

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class SlottedText(Part):
    """A text with its slots. A slot may be given as its text alone where that stands in one place."""

    text: PromptText
    slots: dict[SlotName, Slot] = Field(default_factory=dict, max_length=MOST_SLOTS)

    @model_validator(mode="before")
    @classmethod
    def _find_slots(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("slots"), dict):
            return data
        slots = {name: _found(name, slot, data.get("text")) for name, slot in data["slots"].items()}
        return data | {"slots": slots}

    @model_validator(mode="after")
    def _slots_stand_there(self) -> "SlottedText":
        for name, slot in self.slots.items():
            if self.text[slot.start : slot.end] != slot.text:
                raise ValueError(f"slot {name!r}: {slot.text!r} does not stand at character {slot.start} of the prompt")
        return self


class Prompt(SlottedText):
    """`target`, `competitor`: the tokens, as text, whose logits or probabilities the metric looks at; a space before
    them is part of them. `family`: prompts of one template or entity, which count as one unit. `use`: see `Split`.
    `donor`: another prompt, whose activations an edit takes over; slots of the same name stand for each other.
    """

    target: TokenText | None = None
    competitor: TokenText | None = None
    family: Family | None = None
    use: Use | None = None
    donor: SlottedText | None = None

    @property
    def unit(self) -> str:
        """What replicates: the family, or else the prompt itself."""
        return self.text if self.family is None else self.family

    @model_validator(mode="after")
    def _tokens_differ(self) -> "Prompt":
        if self.target is not None and self.target == self.competitor:
            raise ValueError(f"target and competitor are both {self.target!r}: give two tokens")
        return self


def shown(number: int, prompt: SlottedText) -> str:
    """A prompt as messages name it."""
    text = prompt.text if len(prompt.text) <= 40 else prompt.text[:39] + "…"
    return f"prompt {number} ({text!r})"


def _found(name: object, slot: Any, text: Any) -> Any:
    if not isinstance(slot, str) or not slot or not isinstance(text, str):
        return slot  # as it should be, or refused by the model
    start = text.find(slot)
    if start < 0:
        raise ValueError(f"slot {name!r}: {slot!r} does not stand in the prompt {text!r}")
    if text.find(slot, start + 1) >= 0:
        raise ValueError(f"slot {name!r}: {slot!r} stands in the prompt twice: give text and start, in characters")
    return {"text": slot, "start": start}
