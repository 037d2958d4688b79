"""Makes the engine that the settings name; the one place that knows all of them."""

from collections.abc import Sequence
from pathlib import Path

from distillery.errors import SpecError
from ray_jobs.engines.base import Engine, EngineSettings, EngineType


def make_engine(
    settings: EngineSettings, model_folder: str | Path, *, stop_token_ids: Sequence[int] = ()
) -> Engine:
    """Loads the model of a local folder into the engine, in this process.

    Args:
        settings: See ``EngineSettings``; the environment must be ``engine_environment``'s.
        model_folder: As ``save_pretrained`` writes it, tokenizer included.
        stop_token_ids: What ends an answer besides the model's own end tokens: the renderer's
            ``stop_token_ids``.

    Raises:
        SpecError: ``ModelUnreadable``; ``InvalidSpec`` for settings the engine has not.
        ResourceError: ``EngineOutOfMemory``.
    """
    folder = Path(model_folder)
    if settings.type == EngineType.TRANSFORMERS:
        if settings.structured:
            raise SpecError(
                "engine.structuredOutputs: transformers can't constrain an answer's form, "
                "got true; use the vllm engine or turn it off"
            )
        from ray_jobs.engines.transformers_engine import make_transformers_engine

        return make_transformers_engine(settings, folder, stop_token_ids=stop_token_ids)
    from ray_jobs.engines.vllm_engine import make_vllm_engine

    return make_vllm_engine(settings, folder, stop_token_ids=stop_token_ids)
