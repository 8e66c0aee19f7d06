"""`python -m tracer steer`: a prompt's next token, and text after it, with features set to values and without."""

import argparse
import json
from pathlib import Path
from typing import Any

from safetensors.torch import save

from cli import common
from cli.steer_report import Compared, describe, describe_controls, report
from service import Settings
from tracer import GENERATED, Edit, ReplacementModel, Sampling, TracerError
from tracer.interchange.files import writing
from tracer.steering.controls import WITHOUT_GRAPH, matched
from tracer.steering.edits import ongoing, parse_position
from tracer.steering.generate import MOST_TOKENS
from tracer.steering.protocols import PROTOCOLS
from tracer.steering.steered import Steered

MOST_CONTROLS = 10_000


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    parser = commands.add_parser("steer", help="set features to values and see what the model says then")
    common.add_request(parser, "steered")
    parser.add_argument(
        "--edit",
        action="append",
        type=_edit,
        required=True,
        metavar="LAYER,POSITION,FEATURE,VALUE",
        help="can be repeated. POSITION: a token's place, negative from the end; a:b, a:, :b or : for several, those"
        f" without an end going on over generated tokens; {GENERATED} for those alone. VALUE: an activation, written"
        " without a plus sign; x-1 for -1 times the feature's own; +2.5 for 2.5 more than its own (+-2.5: less)",
    )
    parser.add_argument(
        "--protocol", choices=PROTOCOLS, default="clamp", help="what is held on the prompt (default clamp)"
    )
    parser.add_argument(
        "--layers", type=_layers, metavar="A,B", help="constrained: hold MLPs of A to B, B not included"
    )
    parser.add_argument(
        "--generate", type=common.whole(1, MOST_TOKENS), metavar="N", help="go on for N tokens, with edits and without"
    )
    parser.add_argument("--temperature", type=float, help="of generated text (default 0: the likeliest token always)")
    parser.add_argument(
        "--controls",
        type=common.whole(1, MOST_CONTROLS),
        metavar="N",
        help="beside the edits, run N sets of edits that write as much",
    )
    parser.add_argument(
        "--control-kind",
        choices=WITHOUT_GRAPH,
        help="other active features of the same layers and tokens (default), random directions there, the same"
        " features at other tokens, or changed the other way",
    )
    parser.add_argument(
        "--target", type=common.token, help="token whose logit controls are compared on (default: the likeliest)"
    )
    parser.add_argument("--seed", type=common.whole(0, 2**62), help="of sampled text and of controls (default 0)")
    parser.add_argument(
        "--logits", type=Path, metavar="OUT.safetensors", help="save all logits, with edits and without"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(parser=parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    common.check_request(arguments)
    _check_usage(arguments)
    sampling = Sampling(arguments.temperature or 0.0, seed=arguments.seed or 0)
    settings = Settings.from_env()
    model = common.load(arguments, settings)
    ids = common.token_ids(arguments, model, settings)
    steered, controls = _next_token(arguments, model, ids)
    result = describe(steered, model, arguments.prompt)
    if arguments.generate is not None:
        result |= _text(arguments, model, ids, sampling)
    if controls is not None:
        result["controls"] = describe_controls(controls, steered, model)
    common.clear()
    if arguments.logits:
        with writing(arguments.logits) as file:
            file.write(save(steered.tensors()))
    print(json.dumps(result, indent=2, ensure_ascii=False) if arguments.json else report(result))


def _check_usage(arguments: argparse.Namespace) -> None:
    """What options need each other."""
    generates, controls = arguments.generate is not None, arguments.controls is not None
    for wrong, says in (
        (
            (arguments.protocol == "constrained") != (arguments.layers is not None),
            "--protocol constrained needs --layers A,B, and no other protocol takes it",
        ),
        (
            not generates and any(edit.position == GENERATED for edit in arguments.edit),
            "an edit of generated tokens needs --generate N",
        ),
        (not generates and arguments.temperature is not None, "--temperature needs --generate N"),
        (not controls and arguments.control_kind is not None, "--control-kind needs --controls N"),
        (not controls and arguments.target is not None, "--target needs --controls N"),
        (not (generates or controls) and arguments.seed is not None, "--seed needs --generate N or --controls N"),
    ):
        if wrong:
            arguments.parser.error(says)


def _next_token(
    arguments: argparse.Namespace, model: ReplacementModel, ids: list[int]
) -> tuple[Steered, Compared | None]:
    """The run with the edits, and what its controls did to the token they are compared on, all side by side."""
    target = None if arguments.target is None else model.token_id(arguments.target)
    drawn = None
    conditions: list[list[Any]] = [arguments.edit]
    if arguments.controls is not None:
        kind = arguments.control_kind or WITHOUT_GRAPH[0]
        drawn = matched(
            model,
            [ids],
            arguments.edit,
            kind,
            arguments.controls,
            arguments.seed or 0,
            protocol=arguments.protocol,
            layers=arguments.layers,
            progress=common.show,
        )
        conditions += [control.prompts[0] for control in drawn.sets]
    runs = model.steer_many(
        tokens=ids,
        conditions=conditions,
        protocol=arguments.protocol,
        layers=arguments.layers,
        generating=arguments.generate is not None,
        progress=common.show,
    )
    steered = next(runs)
    if target is None:
        target = int(steered.baseline.argmax())
    deltas = [float(run.delta[target]) for run in runs]
    return steered, None if drawn is None else Compared(drawn, arguments.seed or 0, target, deltas)


def _text(arguments: argparse.Namespace, model: ReplacementModel, ids: list[int], sampling: Sampling) -> dict[str, Any]:
    found: tuple[list[int], list[int]] = ([], [])
    for token in model.generate(
        tokens=ids,
        conditions=[[], arguments.edit],
        protocol=arguments.protocol,
        layers=arguments.layers,
        n_tokens=arguments.generate,
        sampling=sampling,
        progress=common.show,
    ):
        found[token.condition].append(token.id)
    before, after = (model.continuation(ids, new) for new in found)
    going_on = ongoing(arguments.edit, len(ids), model.n_layers, model.basis.n_features)
    return {
        "text_before": before,
        "text_after": after,
        "generation": {
            "n_tokens": arguments.generate,
            "temperature": sampling.temperature,
            "seed": sampling.seed,
            "edits": [
                {"layer": e.layer, "start": e.start, "feature": e.feature, "factor": e.factor, "plus": e.plus}
                for e in going_on
            ],
        },
    }


def _edit(text: str) -> Edit:
    try:
        layer, position, feature, value = (part.strip() for part in text.split(","))
        where = GENERATED if position == GENERATED else parse_position(position)
        kind = {"x": "factor", "+": "plus"}.get(value[:1], "value")
        amount: dict[str, Any] = {kind: float(value if kind == "value" else value[1:])}
        return Edit(int(layer), where, int(feature), **amount)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not LAYER,POSITION,FEATURE,VALUE like 13,-1,1012,x-1 or 4,5:,77,2.5 or 4,{GENERATED},77,+2.5"
        ) from None
    except TracerError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _layers(text: str) -> tuple[int, int]:
    try:
        first, last = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} are not two layers like 3,9") from None
    return first, last
