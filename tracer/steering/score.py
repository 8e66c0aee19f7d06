"""How likely a given text is after a prompt under edits: every place of it in one pass, teacher-forced.

The same model as `generate.py` runs, token by token, told what was said instead of choosing it: the prompt under its
protocol, then the text's tokens, where nothing is held and edits that go on act as they do on generated tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tracer.errors import Progress, TracerError, silent
from tracer.features.basis import Basis
from tracer.model.anatomy import Anatomy
from tracer.model.forward import hooked
from tracer.steering.edits import Edit, Push, ongoing
from tracer.steering.generate import MOST_TOKENS, edit_onward, known_onward, run_prompt
from tracer.steering.protocols import Protocol
from tracer.steering.run import Condition, condition


@torch.no_grad()
def score(
    anatomy: Anatomy,
    basis: Basis,
    token_ids: list[int],
    excluded: list[int],
    edits: Sequence[Edit | Push],
    protocol: Protocol,
    text: Sequence[int],
    progress: Progress = silent,
) -> Tensor:
    """(n, V) float32, CPU, of a text of n tokens: log-probabilities of all tokens at each of its places, row i after
    the prompt and the text's first i tokens; natural logarithms, at temperature 1, of the logits after any softcap.

    Raises TracerError for an empty text, one past the limits, and for what `generate` refuses.
    """
    n, known = len(token_ids), list(text)
    if not 1 <= len(known) <= MOST_TOKENS:
        raise TracerError(f"{len(known):,} tokens can't be scored at once; give 1 to {MOST_TOKENS:,}")
    if n + len(known) > anatomy.window:
        raise TracerError(
            f"{n:,} tokens and {len(known):,} of the text are more than the model's window of {anatomy.window:,};"
            " give a shorter text or prompt"
        )
    plain = [e for e in edits if isinstance(e, Edit)]
    going_on = ongoing(plain, n, len(anatomy.layers), basis.n_features)
    placed = condition(edits, n, anatomy, basis, generating=True) if edits else Condition([])
    first, cache = run_prompt(anatomy, basis, token_ids, excluded, [placed], protocol, progress)
    rows = [torch.log_softmax(first, dim=-1)]
    if len(known) > 1:
        ids = torch.tensor([known[:-1]], device=anatomy.device)
        positions = range(n, n + ids.shape[1])
        progress("score", 0.0)
        with anatomy.lock, hooked(anatomy) as hooks:
            edit_onward(hooks, anatomy, basis, known_onward(anatomy, basis, [going_on]), [going_on], positions)
            where = torch.tensor([list(positions)], device=anatomy.device)
            out = anatomy.model(input_ids=ids, position_ids=where, past_key_values=cache, use_cache=True)
        rows.append(torch.log_softmax(out.logits[0].float().cpu(), dim=-1))
    return torch.cat(rows)
