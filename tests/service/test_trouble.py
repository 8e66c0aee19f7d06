"""What is spared from garbage collection while a model is used is given back with it."""

import gc
import weakref

import pytest

from service import trouble


class Model:
    """Only a collection finds out that nobody has it any more."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_spared_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "gc", gc)  # tests/conftest.py has spared what is imported for good
    model = Model()
    old = weakref.ref(model)
    try:
        trouble.spare_long_lived()
        del model
        gc.collect()
        assert old() is not None, "a collection does not look at it"
        trouble.release_memory()
        assert old() is None
    finally:
        gc.freeze()
