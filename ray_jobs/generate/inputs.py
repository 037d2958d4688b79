"""What the stage reads and derives before any engine starts: rows, model, renderer, settings."""

import json
from dataclasses import dataclass
from pathlib import Path

from distillery.errors import InvariantError, SpecError
from distillery.stage_configs import GenerateConfig
from ray_jobs.answers.keys import TeacherIdentity
from ray_jobs.engines.base import EngineSettings, Sampling
from ray_jobs.engines.from_spec import engine_settings
from ray_jobs.models import fetch_model, model_cache
from ray_jobs.records import PromptRow, Split
from ray_jobs.rendering import Renderer
from ray_jobs.step import StepTools, read_manifest
from ray_jobs.tables import load_rows
from ray_jobs.tasks.base import Task, TaskOptions
from ray_jobs.tasks.choosing import make_task


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """``rows`` are all splits' prompts; ``window`` the context window in tokens, where known."""

    rows: list[PromptRow]
    task: Task
    teacher: TeacherIdentity
    sampling: Sampling
    engine: EngineSettings
    model_folder: Path
    renderer: Renderer
    window: int | None


def read_inputs(config: GenerateConfig, tools: StepTools) -> Inputs:
    """Everything the stage starts from.

    Raises:
        SpecError: ``TemplateChanged``: the teacher's chat template isn't the one prepare pinned;
            the model's, renderer's and task's own.
    """
    inputs, context = config.inputs, config.context
    folder = fetch_model(inputs.teacher, context.storage, model_cache(context))
    renderer = Renderer.from_folder(folder, date=inputs.teacher.date or None)
    if renderer.template_hash != inputs.teacher.template_hash:
        raise SpecError(
            "spec.teacher.model: its chat template must be the one prepare pinned "
            f"({inputs.teacher.template_hash[:12]}), got {renderer.template_hash[:12]}; "
            "run the job again",
            reason="TemplateChanged",
        )
    return Inputs(
        rows=_read_rows(config, tools),
        task=make_task(inputs.task, TaskOptions(labels=inputs.labels, prompts=inputs.prompts)),
        teacher=TeacherIdentity(
            weights_digest=inputs.teacher.digest, quantisation=inputs.dtype.value
        ),
        sampling=Sampling(
            temperature=inputs.sampling.temperature,
            top_p=inputs.sampling.top_p,
            top_k=inputs.sampling.top_k,
            max_tokens=inputs.max_tokens,
            seed=inputs.sampling.seed if inputs.sampling.temperature > 0 else None,
        ),
        engine=engine_settings(config.settings.engine, is_structured=inputs.structured_outputs),
        model_folder=folder,
        renderer=renderer,
        window=inputs.max_model_len or _config_window(folder),
    )


def _read_rows(config: GenerateConfig, tools: StepTools) -> list[PromptRow]:
    ref = config.context.upstream.get("prepare")
    if ref is None:
        raise InvariantError("step config: generate reads prepare's rows, got no upstream prepare")
    manifest = read_manifest(tools.storage, ref)
    return [
        row
        for split in Split
        for row in load_rows(
            tools.storage,
            ref.prefix,
            manifest,
            f"prompts/{split.value}.parquet",
            PromptRow,
            scratch=tools.scratch,
        )
    ]


def _config_window(folder: Path) -> int | None:
    """What the model's config says; None where it says nothing plain."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    window = config.get("max_position_embeddings")
    # Scaled positions: engines work the window out by rules of their own.
    return window if isinstance(window, int) and not config.get("rope_scaling") else None
