"""The steps of a run, on one model: baselines, controls, figures, prompt by prompt. Knows no record.

Whoever computes them (a model here, workers elsewhere) gives the same: each step follows from the hypothesis alone.
"""

import platform
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import scipy
import torch
import transformers

from lab.errors import LabError
from lab.hypothesis import HypothesisBody
from lab.runs.bodies import DrawnControls, MadeWith, PromptFigures, RunBody
from lab.runs.drawing import draw
from lab.runs.measure import PromptControls, baseline_of, measure
from lab.runs.plan import PromptPlan, make_plan
from tracer.errors import Progress, silent
from tracer.graph.graph import Graph
from tracer.replacement import ENGINE_VERSION, ReplacementModel

GraphOf = Callable[[list[int], list[int], Progress], Graph]
"""The graph of a prompt (token ids) that explains these targets (token ids)."""


class Computing(Protocol):
    """`parts` and `included` are names of prompts, as `PromptFigures.part`; figures may come in any order."""

    def baselines(self, parts: Sequence[str]) -> Iterator[PromptFigures]:
        """What the model says without edits, and whether the prompt is left out by the record's rule."""

    def draw(self, included: Sequence[str], progress: Progress) -> DrawnControls:
        """The control sets, matched on these prompts."""

    def measure(self, parts: Sequence[str], included: Sequence[str], progress: Progress) -> Iterator[PromptFigures]:
        """With edits and controls; `included`: as they were drawn on. `progress` hears the share of the parts."""


class Steps:
    """On a model that is here."""

    def __init__(self, run: RunBody, model: ReplacementModel, graph_of: GraphOf | None = None) -> None:
        """`graph_of`: for a run that predicts. Raises TracerError and LabError for what can't be run on this model."""
        if run.made_with != made_with(model):
            raise LabError("this run was begun with another model or other libraries: run the hypothesis anew")
        self.run, self._model, self._graph_of = run, model, graph_of
        self._plan = make_plan(run.body, model, run.full_grid)
        self._prompts = {prompt.part: prompt for prompt in (*self._plan.prompts, *self._plan.off_target)}
        self._drawn: tuple[list[str], DrawnControls, dict[str, list[PromptControls]]] | None = None

    def baselines(self, parts: Sequence[str]) -> Iterator[PromptFigures]:
        for part in parts:
            prompt = self._prompts[part]
            yield baseline_of(self._plan, prompt, self._model.record(prompt.ids).logits)

    def draw(self, included: Sequence[str], progress: Progress = silent) -> DrawnControls:
        if self._drawn is None or self._drawn[0] != list(included):
            prompts = [self._prompts[part] for part in included]
            self._drawn = list(included), *draw(self._model, self._plan, prompts, progress)
        return self._drawn[1]

    def measure(
        self, parts: Sequence[str], included: Sequence[str], progress: Progress = silent
    ) -> Iterator[PromptFigures]:
        for n, part in enumerate(parts):

            def told(phase: str, fraction: float, n: int = n) -> None:
                within = fraction if phase == "steer" else 0.0  # what comes before takes little of a prompt's time
                progress("prompts", (n + within) / len(parts))

            told("", 0)
            prompt = self._prompts[part]
            graph = self._graph(prompt, told)
            yield measure(self._model, self._plan, prompt, self._controls(part, included), graph, told)

    def _controls(self, part: str, included: Sequence[str]) -> Sequence[PromptControls]:
        if part not in included or not self._plan.body.controls:
            return ()
        self.draw(included)
        assert self._drawn is not None
        return self._drawn[2][part]

    def _graph(self, prompt: PromptPlan, progress: Progress) -> Graph | None:
        if not self.run.predicts or prompt.where != "test":
            return None
        if self._graph_of is None:
            raise LabError("this run foretells what the edit does: give it graphs")
        return self._graph_of(prompt.ids, prompt.targets, progress)


def parts(body: HypothesisBody) -> tuple[list[str], list[str]]:
    """Of the test prompts, and of the off-target ones."""
    tests = [f"test {n}" for n, prompt in enumerate(body.prompts, start=1) if prompt.use == "test"]
    return tests, [f"off-target {n}" for n in range(1, len(body.off_target) + 1)]


def made_with(model: ReplacementModel) -> MadeWith:
    libraries = {"torch": torch, "transformers": transformers, "numpy": np, "scipy": scipy}
    return MadeWith(
        model_fingerprint=model.model_fingerprint,
        basis_fingerprint=model.basis_fingerprint,
        engine=ENGINE_VERSION,
        device=model.device.type,
        dtype=str(model.dtype).removeprefix("torch."),
        versions={"python": platform.python_version()}
        | {name: str(library.__version__) for name, library in libraries.items()},
    )
