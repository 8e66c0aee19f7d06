"""A tokenizer that joins letters to words as real ones do: some words are one token with their space, some are two."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

PIECES = ["Michael", " Jordan", "Lion", "el", " Messi", "Babe", " Ruth", "Dr", "In", " plays", " the", " sport", " of",
          " basketball", "basket", "ball", " soccer", " golf", " foot", " tennis"]  # fmt: skip


class Words:
    """`ids` is what a model would make of a text: <bos>, then its pieces."""

    def __init__(self) -> None:
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        merges: list[tuple[str, str]] = []
        vocab = {token: id for id, token in enumerate(["<bos>", *alphabet])}
        for piece in (piece.replace(" ", "Ġ") for piece in PIECES):
            for end in range(1, len(piece)):
                pair = piece[:end], piece[end]
                if pair not in merges:
                    merges.append(pair)
                    vocab.setdefault(piece[: end + 1], len(vocab))
        self.inner = Tokenizer(models.BPE(vocab, merges))
        self.inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.inner.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 0)])
        self.inner.decoder = decoders.ByteLevel()

    def ids(self, text: str) -> list[int]:
        return list(self.inner.encode(text).ids)

    def pieces(self, text: str) -> list[str]:
        return [self.inner.decode([id]) for id in self.ids(text)]
