"""What the commands that run a model share: the prompt, the model, and progress on a terminal."""

import argparse
import sys
from collections.abc import Callable

import tracer
from lab.runs.steps import GraphOf
from service import Settings
from tracer import Graph, Progress, TracerError


def add_request(parser: argparse.ArgumentParser, purpose: str) -> None:
    parser.add_argument("prompt", nargs="?", help=f"the text whose next token is {purpose}")
    parser.add_argument("--tokens", type=_ids, help="token ids instead of a prompt: 1,5,7")
    add_model_options(parser)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="preset, folder or Hub id (default: HYPOGRAPH_MODEL, else gemma-3-270m)")
    parser.add_argument("--features", help="feature basis (default: neurons)")


TRACE_OPTIONS = "max_logits", "logit_mass", "max_nodes"


def add_trace_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-logits", type=int, default=10, help="most targets, where none is named (default 10)")
    parser.add_argument("--logit-mass", type=float, default=0.95, help="probability they reach together (default 0.95)")
    parser.add_argument("--max-nodes", type=_max_nodes, default="auto", help="auto, a number, or all")


def check_request(arguments: argparse.Namespace) -> None:
    """What can be known to be wrong before anything is loaded."""
    if (arguments.prompt is None) == (arguments.tokens is None):
        arguments.parser.error("give a PROMPT or --tokens, one of the two")
    if arguments.prompt == "":  # some tokenizers would still make a token of it, for the beginning
        raise TracerError("the prompt is empty; give the text whose next token is asked for")


def token(text: str) -> int | str:
    """A number is an id; anything else a string of one token."""
    return int(text) if text.isascii() and text.isdigit() else text


def whole(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number within these bounds, for argparse."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least:,} to {most:,}")
        return number

    return read


def load(arguments: argparse.Namespace, settings: Settings) -> tracer.ReplacementModel:
    return tracer.load(
        arguments.model or settings.model,
        features=arguments.features or settings.features,
        device=settings.device,
        dtype=settings.dtype,
        offload=settings.offload,
        store=settings.models,
        progress=show,
    )


def token_ids(arguments: argparse.Namespace, model: tracer.ReplacementModel, settings: Settings) -> list[int]:
    """Raises TracerError where there are more than the settings allow."""
    ids = arguments.tokens if arguments.tokens is not None else model.token_ids(arguments.prompt)
    if len(ids) > settings.max_tokens:
        raise TracerError(
            f"the prompt has {len(ids):,} tokens, the limit is {settings.max_tokens:,}: shorten it or raise"
            " HYPOGRAPH_MAX_TOKENS"
        )
    return ids


def tracing(model: tracer.ReplacementModel) -> GraphOf:
    """For runs that foretell what their edits do."""

    def graph_of(ids: list[int], targets: list[int], progress: Progress) -> Graph:
        return model.trace(tokens=ids, targets=targets, progress=progress)

    return graph_of


def show(phase: str, fraction: float) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{phase} {fraction:.0%}", end="", file=sys.stderr, flush=True)


def clear() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _ids(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of token ids like 1,5,7") from None


def _max_nodes(text: str) -> int | str | None:
    if text in ("auto", "all"):
        return "auto" if text == "auto" else None
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not auto, all or a number") from None
