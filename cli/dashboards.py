"""`python -m tracer dashboards`: what every feature fires on, from a corpus; kept for the cards of the page."""

import argparse
from pathlib import Path

from cli.common import add_model_options, clear, load, show
from service import Settings
from tracer.dashboards import corpus
from tracer.dashboards.build import build


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = commands.add_parser("dashboards", help="collect what each feature fires on")
    parser.add_argument(
        "corpus", metavar="FILE", nargs="?", type=Path, default=corpus.BUNDLED, help="text, JSON lines (default: ours)"
    )
    add_model_options(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    settings = Settings.from_env()
    model = load(arguments, settings)
    rows = corpus.contexts(arguments.corpus, model)
    folder = settings.dashboards(model.model_fingerprint, model.basis_fingerprint)
    build(model, rows, folder, show)
    clear()
    print(f"{rows.numel():,} tokens seen by {model.n_layers} layers of {model.basis.n_features:,} features: {folder}")
