"""``spec.teacher``: the model that answers, how it runs and how it is asked."""

from pydantic import Field

from distillery.spec.dataset import Uri
from distillery.spec.engine import EngineSpec, VllmEngineSpec
from distillery.spec.model import Model
from distillery.spec.runtime import CredentialName
from distillery.tasks import PromptVariant


class ModelRef(Model):
    """A model's folder: config, weights as safetensors, tokenizer with a chat template."""

    uri: Uri
    """``file://``, ``s3://`` or ``hf://<owner>/<name>``; a plain path for the command."""
    revision: str = Field(default="main", max_length=128)
    """``hf://`` only: branch, tag or commit; pinned to the commit found."""
    date: str = Field(default="", max_length=10, pattern=r"^(\d{4}-\d{2}-\d{2})?$")
    """The day shown to chat templates that print today's date. They are refused without it."""
    credentials_ref: CredentialName | None = None
    """Name of a credential of kind HuggingFace, in a cluster."""


class SamplingSpec(Model):
    """How the teacher draws (defaults: METHOD)."""

    temperature: float = Field(default=0.2, ge=0, le=2)
    """0 is greedy."""
    top_p: float = Field(default=0.1, gt=0, le=1)
    """Draw from the likeliest tokens that together have this probability; 1: all tokens."""
    top_k: int = Field(default=-1, ge=-1, le=1_000_000)
    """-1: all tokens."""
    max_tokens: int | None = Field(default=None, ge=1, le=131_072)
    """Longest answer. Default: 512 tokens, 1,024 for SUMMARIZATION."""
    samples_per_prompt: int = Field(default=1, ge=1, le=64)
    """Answers to each prompt; above 1 needs a temperature above 0."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Makes draws repeatable; recorded with the answers, no part of their key."""


class TeacherSpec(Model):
    """The teacher."""

    model: ModelRef
    engine: EngineSpec = VllmEngineSpec()
    prompts: tuple[PromptVariant, ...] = Field(
        default=(PromptVariant.VANILLA,), min_length=1, max_length=3
    )
    """Which prompts the teacher runs; an arm can only learn from one of these."""
    sampling: SamplingSpec = SamplingSpec()
    min_success_ratio: float = Field(default=0.7, ge=0, le=1)
    """Usable answers / prepared rows, per split and prompt; below it the job stops."""
