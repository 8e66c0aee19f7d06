"""`python -m tracer steer`: a prompt's next token with features set to values, beside what it is without."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save

from cli import common
from service import Settings
from tracer import Edit, TracerError
from tracer.interchange.files import writing
from tracer.replacement import ReplacementModel
from tracer.steering.edits import parse_position
from tracer.steering.protocols import PROTOCOLS
from tracer.steering.steered import Steered


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = commands.add_parser("steer", help="set features to values and see what the model says then")
    common.add_request(parser, "steered")
    parser.add_argument(
        "--edit",
        action="append",
        type=_edit,
        required=True,
        metavar="LAYER,POSITION,FEATURE,VALUE",
        help="can be repeated. POSITION: a token's place, negative from the end, or a:b, a:, :b, : for several;"
        " VALUE: an activation, or x-1 for -1 times the feature's own",
    )
    parser.add_argument("--protocol", choices=PROTOCOLS, default="clamp", help="what is held (default clamp)")
    parser.add_argument(
        "--layers", type=_layers, metavar="A,B", help="constrained: hold MLPs of A to B, B not included"
    )
    parser.add_argument(
        "--logits", type=Path, metavar="OUT.safetensors", help="save all logits, with edits and without"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(parser=parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    common.check_request(arguments)
    if (arguments.protocol == "constrained") != (arguments.layers is not None):
        arguments.parser.error("--protocol constrained needs --layers A,B, and no other protocol takes it")
    settings = Settings.from_env()
    model = common.load(arguments, settings)
    ids = common.token_ids(arguments, model, settings)
    steered = model.steer(tokens=ids, edits=arguments.edit, protocol=arguments.protocol, layers=arguments.layers)
    common.clear()
    if arguments.logits:
        with writing(arguments.logits) as file:
            file.write(save(steered.tensors()))
    result = describe(steered, model, arguments.prompt)
    print(json.dumps(result, indent=2, ensure_ascii=False) if arguments.json else _report(result))


def describe(steered: Steered, model: ReplacementModel, prompt: str | None) -> dict[str, Any]:
    before, after, delta = steered.baseline_probabilities, steered.probabilities, steered.delta
    return {
        "prompt": model.prompt_text(steered.token_ids) if prompt is None else prompt,
        "tokens": [model.token_text(i) for i in steered.token_ids],
        "token_ids": steered.token_ids,
        "model": model.name,
        "features": model.basis.name,
        "protocol": steered.protocol,
        "layers": steered.layers,
        "edits": [asdict(edit) for edit in steered.edits],
        "targets": [
            {
                "token": model.token_text(id),
                "id": id,
                "probability_before": float(before[id]),
                "probability_after": float(after[id]),
                "delta_logit": float(delta[id]),
            }
            for id in steered.top()
        ],
        "kl": steered.kl,
    }


def _report(result: dict[str, Any]) -> str:
    held = result["protocol"] + ("" if result["layers"] is None else " {}:{}".format(*result["layers"]))
    lines = [f"{result['model']}, {result['features']}: {' '.join(repr(t) for t in result['tokens'])}", "", held]
    for edit in result["edits"]:
        lines.append(
            f"  layer {edit['layer']:>2}  feature {edit['feature']:>6}  at {result['tokens'][edit['position']]!r:16}"
            f" {edit['before']:>9.2f} → {edit['value']:.2f}" + ("" if edit["writes"] else "  writes nothing here")
        )
    lines += ["", f"{'next token':26}  before   after   logit"]
    for target in result["targets"]:
        lines.append(
            f"  {target['token']!r:24}  {target['probability_before']:6.3f}  {target['probability_after']:6.3f}"
            f"  {target['delta_logit']:+6.2f}"
        )
    lines += ["", f"KL {result['kl']:.3f} nats; logits less the mean logit, before any softcap"]
    return "\n".join(lines)


def _edit(text: str) -> Edit:
    try:
        layer, position, feature, value = (part.strip() for part in text.split(","))
        where = int(layer), parse_position(position), int(feature)
        return Edit(*where, factor=float(value[1:])) if value.startswith("x") else Edit(*where, value=float(value))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not LAYER,POSITION,FEATURE,VALUE like 13,-1,1012,x-1 or 4,5:,77,2.5"
        ) from None
    except TracerError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _layers(text: str) -> tuple[int, int]:
    try:
        first, last = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} are not two layers like 3,9") from None
    return first, last
