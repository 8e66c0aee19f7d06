"""What stands before a prompt, and which positions have no features for it (DESIGN §3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Prefix:
    """`rule`: "tokenizer" adds what the model's tokenizer adds and nothing else; "circuit-tracer" puts BOS, else pad,
    else EOS before a prompt that starts with no special token. `chat`: ids that a chat-tuned model's prompts start
    with, all of them without features.
    """

    rule: str = "tokenizer"
    chat: tuple[int, ...] = ()

    def ids(self, tokenizer: Any, prompt: str) -> list[int]:
        """The prompt's token ids."""
        if self.rule == "tokenizer":
            return tokenizer(prompt)["input_ids"]
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        if ids and ids[0] in tokenizer.all_special_ids:
            return ids
        candidates = (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)
        return [next(i for i in candidates if i is not None), *ids] if any(i is not None for i in candidates) else ids

    def excluded(self, tokenizer: Any, ids: Sequence[int]) -> list[int]:
        """Positions without feature nodes."""
        if self.chat and tuple(ids[: len(self.chat)]) == self.chat:
            return list(range(len(self.chat)))
        return [0] if ids[0] in tokenizer.all_special_ids else []


PLAIN = Prefix()
