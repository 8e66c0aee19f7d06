"""A batch in the record: each graph once, bounded, and brought back when it was deleted."""

import pytest
from pydantic import ValidationError

from lab import About, BatchBody, BatchItem, Lab, Role


def test_a_batch_is_kept_deleted_and_brought_back(lab: Lab) -> None:
    ann = lab.person("local", "ann", "Ann", Role.EDITOR)
    items = (BatchItem(key="a" * 64, prompt="<b>w4</b>"), BatchItem(key="b" * 64, tokens=(1, 2), targets=(3,)))
    made = lab.create(ann, About(), BatchBody(title="two", items=items))
    assert lab.find("batch", ann) == [made] and lab.get(made.id, ann).head.body.items == items
    lab.delete(made.id, ann)
    assert lab.find("batch", ann) == []
    lab.undelete(made.id, ann)
    assert [record.id for record in lab.find("batch", ann)] == [made.id]


@pytest.mark.parametrize(
    "keys", [(), ("a" * 64, "a" * 64), ("../../etc/passwd",), ("A" * 64,), tuple(f"{i:064x}" for i in range(1_001))]
)
def test_what_is_no_batch_is_refused(keys: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        BatchBody(title="two", items=tuple(BatchItem(key=key) for key in keys))
