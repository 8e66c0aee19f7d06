"""What a set says of itself in config.yaml (GemmaScope-2: config.json), checked against what its files hold."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tracer.errors import TracerError
from tracer.features.formats import LayerTensors
from tracer.features.points import READ_HOOKS, WRITE_HOOKS
from tracer.features.tensors import whole

KINDS = {"transcoder_set": "plt", "cross_layer_transcoder": "clt"}  # circuit-tracer's words, and ours
ACTIVATIONS = ("relu", "jumprelu", "topk")
TOPK_SETS = {"facebook/crv-8b-instruct-transcoders": 128}  # published without saying so
HF_HOOKS = {"hf_hook_point_in": "pre_feedforward_layernorm.output",
            "hf_hook_point_out": "post_feedforward_layernorm.output"}  # fmt: skip
LARGEST_DESCRIPTION = 1 << 16  # bytes

Config = dict[str, Any]


def check_kind(config: Config, kind: str, reference: str) -> None:
    """That config.yaml, if it says what kind of set it is, says a known one, and that of the files."""
    said = config.get("model_kind")
    if "model_kind" in config and (not isinstance(said, str) or said not in KINDS):
        raise TracerError(f"{reference}: model_kind {_short(said)} is not known; known are {', '.join(KINDS)}")
    if said is not None and KINDS[said] != kind:
        raise TracerError(
            f"{reference}: config.yaml says model_kind: {said}, but the files hold a {kind.upper()}; correct it"
        )


def hooks(config: Config, default: tuple[str, str] | None, reference: str) -> tuple[str, str]:
    """Where the set reads and writes: as config.yaml says, else as its format has it (`default`)."""
    points = []
    for i, (key, known) in enumerate((("feature_input_hook", READ_HOOKS), ("feature_output_hook", WRITE_HOOKS))):
        point = config.get(key, default[i] if default else None)
        if point is None:
            raise TracerError(f"{reference} has no config.yaml that says {key}; write one, with {' or '.join(known)}")
        if point not in known:
            raise TracerError(f"{reference}: {key} {_short(point)} is not known; known are {', '.join(known)}")
        points.append(point)
    return points[0], points[1]


def activation(config: Config, repository: str, layers: Sequence[LayerTensors]) -> tuple[str, int | None]:
    """The activation and a TopK's k: what config.yaml says, else what the files hold.

    `repository`: the Hub's id of the set, for those that were published without saying it.
    """
    first, has_threshold = layers[0], layers[0].threshold is not None
    said = config.get("activation")
    if said is None:
        topk = not has_threshold and (first.k is not None or repository in TOPK_SETS)
        said = "topk" if topk else "jumprelu" if has_threshold else "relu"
    said = "jumprelu" if said == "jump_relu" else said
    if said not in ACTIVATIONS:
        raise TracerError(f"activation {_short(said)} is not known; known are {', '.join(ACTIVATIONS)}")
    if (said == "jumprelu") != has_threshold:
        raise TracerError(
            f"{first.path} holds {'' if has_threshold else 'no '}thresholds, but config.yaml says activation: {said};"
            " correct that line, or leave it out"
        )
    if said != "topk":
        return said, None
    k = config.get("k", TOPK_SETS.get(repository))
    if k is None and first.k is not None and first.k.shape in ((), (1,)):
        k = int(whole(first.k))
    if type(k) is not int or not 1 <= k <= first.n_features:
        raise TracerError(
            f"{first.path}: activation topk needs k, a whole number from 1 to {first.n_features}, in config.yaml, not"
            f" {_short(k)}"
        )
    return said, k


def model_name(config: Config, described: Config) -> str | None:
    """The base model that the set was trained on, if it says so."""
    name = config.get("model_name", described.get("model_name"))
    return name if isinstance(name, str) else None


def description(path: Path) -> Config:
    """GemmaScope-2's config.json. Raises TracerError unless it is that of a transcoder.

    Its autoencoders have the same tensors, so that nothing else tells them from transcoders.
    """
    try:
        if path.stat().st_size > LARGEST_DESCRIPTION:
            raise ValueError("it is too large")
        described = json.loads(path.read_bytes())
        if not isinstance(described, dict):
            raise ValueError("it holds no keys")
    except (OSError, ValueError, RecursionError) as problem:
        raise TracerError(f"{path} can't be used ({problem}); download it again") from problem
    for key, expected in HF_HOOKS.items():
        said = described.get(key, expected)
        for point in said if isinstance(said, list) else [said]:
            if not str(point).endswith(expected):
                raise TracerError(
                    f"{path} says {key} {_short(point)}, so these are no transcoders of an MLP; give the folder"
                    " transcoder_all/… or clt/… of GemmaScope-2"
                )
    return described


def _short(value: object) -> str:
    """What a file says, fit for a line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
