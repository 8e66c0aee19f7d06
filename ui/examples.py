"""Worked examples for the default model: prompts that show something, each with what to look for.

The first five are those of the design; every top token was measured on Gemma-3-270M and is checked by a test.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    prompt: str
    answer: str  # the most likely next token
    look: str
    minus: str | None = None  # explain the difference to this token


EXAMPLES = (
    Example(
        "Michael Jordan plays the sport of",
        " basketball",
        "Recall of a fact: follow the name into the middle layers, and neuron 1012 of layer 13, which says football.",
    ),
    Example(
        "Hecho: Michael Jordan juega al",
        " baloncesto",
        "The same fact in Spanish: neuron 1012 of layer 13 leads here too.",
    ),
    Example(
        'Le contraire de "petit" est "', "grand", "An antonym in French: what carries the size, what the language?"
    ),
    Example(
        "The capital of France is the city of",
        " Paris",
        "Recall of a capital: what comes from France, what from capital?",
    ),
    Example(
        "When Mary and John went to the store, John gave a drink to",
        " Mary",
        "Indirect object: the name that did not come twice wins. Compare the inputs from Mary and from John.",
    ),
    Example(
        "The opposite of hot is", " cold", "An antonym in English: which features come from opposite, which from hot?"
    ),
    Example(
        "Monday, Tuesday, Wednesday,", " Thursday", "Going on with a sequence: does it count, or recall the last day?"
    ),
    Example("dog: perro, cat: gato, house:", " casa", "Translation learned in the prompt: find what says Spanish."),
    Example(
        "The sun rises in the east and sets in the", " west", "A contrast within a sentence: east at work against west."
    ),
    Example(
        "The key to the cabinets",
        " is",
        "Agreement: the graph of is − are shows what counts for key and what for cabinets.",
        minus=" are",
    ),
)
