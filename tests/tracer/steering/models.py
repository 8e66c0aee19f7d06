"""Every family with neurons and with every kind of transcoder, made once."""

import itertools
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.helpers import FAMILIES, PROMPT, replacement, transcoders, with_transcoders
from tests.tracer.test_transcoders import KINDS

BASES = ("neurons", *KINDS)
EVERY = list(itertools.product(FAMILIES, BASES))

_folder = TemporaryDirectory()


@cache
def made(family, basis):
    model = FAMILIES[family]()
    if basis == "neurons":
        return replacement(model)
    folder = Path(_folder.name) / f"{family} {basis}".replace(" ", "_")
    return with_transcoders(model, transcoders(folder, model, **KINDS[basis]))


def active(model, n=6):
    """(layer, position, feature) of some active features at different layers and tokens."""
    record = model.record(model.token_ids(PROMPT))
    features = model.basis.encode(record, [0]).active()
    every = list(zip(features.layer.tolist(), features.position.tolist(), features.feature.tolist(), strict=True))
    return every[3 :: len(every) // n][:n]
