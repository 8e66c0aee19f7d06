"""From recurring features to a hypothesis: the wizard's fields, filled in with what a batch found and its prompts."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from lab import Prompt
from tracer.graph.aggregate import Sheet
from ui.batch_source import Batch
from ui.wizard_draft import Node, Piece, Writing
from ui.wizard_sources import free_name


def of_features(batch: Batch, sheets: Sequence[Sheet], features: Sequence[dict[str, Any]]) -> Writing:
    """Each feature is a supernode of its own, at its token on the prompt where it is strongest; all are turned over.

    `sheets`: of the graphs on which they were found, whose prompts are never run, and whose model it is about,
    whichever is loaded. `features`: rows of `ui.batch_features.with_names`.
    """
    made_of, seen = sheets[0].meta, {one.id: None for one in sheets}
    found = Writing(
        source=f"batch {batch.address} {hash((*seen, *(row['number'] for row in features)))}",
        model=made_of["model"] or "",
        features=made_of["features"] or "",
        model_fingerprint=made_of["model_fingerprint"] or "",  # of an imported graph there may be none
        basis_fingerprint=made_of["basis_fingerprint"] or "",
        title=" ".join(batch.title.split())[:300],
        visibility="lab" if batch.record is None else batch.record.visibility,
    )
    for row in features:
        node = Node(row["layer"], row["feature"], row["position"])
        name = free_name(row["label"] or row["name"], [piece.name for piece in found.pieces])
        found.pieces.append(Piece(name, (node,), found_on=batch.item(row["strongest"]).prompt))
    for item in batch.items:
        try:
            prompt = Prompt(text=item.prompt, target=item.target, competitor=item.competitor, family=item.family)
        except ValidationError:  # no text, as of tokens given by number
            continue
        if prompt.text not in found.texts():
            found.prompts.append(prompt)
        if item.key in seen:
            found.seen = (*found.seen, prompt.text)
    return found
