"""Discovery and test: which prompts may be looked at to find the circuit, and which decide.

Whole units (families, where they are declared) go to one side, or what was found on one prompt would be tested on its
twin. The split follows from a recorded seed, so that nobody can choose it, and its hash is kept.
"""

import hashlib
import json
from collections.abc import Sequence
from math import floor
from typing import Annotated

from pydantic import Field, StringConstraints

from lab.bodies import Part, Share
from lab.prompts import MOST_PROMPTS, Prompt, PromptText, Use

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Split(Part):
    """`seen`: units on which the circuit was found; they are discovery, whatever the seed. `discovery`: the share of
    the other units that is put there besides, drawn by the seed. `hash`: once it is made, see `make_split`.
    """

    seed: Seed
    discovery: Share = 0.0
    seen: tuple[PromptText, ...] = Field(default=(), max_length=MOST_PROMPTS)
    hash: Sha256 | None = None


def units(prompts: Sequence[Prompt]) -> list[str]:
    """What replicates, each once, in the order of the prompts: families, or the prompts themselves."""
    return list(dict.fromkeys(prompt.unit for prompt in prompts))


def make_split(prompts: Sequence[Prompt], split: Split) -> tuple[tuple[Prompt, ...], Split]:
    """The prompts, each with its use, and the split with its hash.

    The units that nobody has seen are put in the order of SHA-256(seed, unit); the first round(share × their number)
    are discovery. The hash is SHA-256 of the JSON of seed, share, what was seen, and each prompt's text, unit and use,
    whatever the order of the prompts. Raises ValueError for a seen unit that there is not.
    """
    names = units(prompts)
    if strange := [name for name in split.seen if name not in names]:
        raise ValueError(f"split.seen: there is no family or prompt {strange[0]!r}; give one as it stands in prompts")
    seen = set(split.seen)
    unseen = sorted((name for name in names if name not in seen), key=lambda name: _lot(split.seed, name))
    looked_at = {*seen, *unseen[: floor(split.discovery * len(unseen) + 0.5)]}
    made = tuple(prompt.model_copy(update={"use": _use(prompt, looked_at)}) for prompt in prompts)
    prompts_told = sorted([prompt.text, prompt.unit, prompt.use] for prompt in made)
    told = [split.seed, split.discovery, sorted(split.seen), prompts_told]
    return made, split.model_copy(update={"hash": hashlib.sha256(json.dumps(told).encode()).hexdigest()})


def _lot(seed: int, unit: str) -> bytes:
    return hashlib.sha256(f"{seed} {unit}".encode()).digest()


def _use(prompt: Prompt, looked_at: set[str]) -> Use:
    return "discovery" if prompt.unit in looked_at else "test"
