"""A student's trials (arm x seed): named by ``train``, read by ``evaluate`` and ``publish``.

A trial has a prefix and a manifest of its own, which do not depend on the other trials of its
step: adding a seed to a job trains one more and finds the others finished.
"""

from typing import Any

from pydantic import Field

from distillery.manifests import ManifestRef, StepManifest, canonical_json, sha256_hex
from distillery.spec.model import Model
from distillery.stage_configs import TrainInputs
from distillery.tasks import Arm

WEIGHTS_FOLDER = "weights"
"""Below a trial's prefix: the model, or the PEFT adapter, of the best step, with its tokenizer."""

CURVE_NAME = "curve.jsonl"
"""Below a trial's prefix: one ``CurvePoint`` a line, one line an optimizer step."""


class TrialRef(Model):
    """A finished trial, in ``train``'s summary under ``trials``.

    ``validation_loss`` is the mean over loss-bearing tokens at ``best_step``, whose weights were
    kept; absent where the job has no validation rows. ``tokens`` were processed in training,
    ``seconds`` it took by its own clock, without start-up.
    """

    arm: Arm
    seed: int
    prefix: str
    sha256: str
    best_step: int = Field(ge=1)
    validation_loss: float | None = None
    num_steps: int = Field(ge=1)
    seconds: float = Field(ge=0)
    tokens: int = Field(ge=0)

    @property
    def manifest(self) -> ManifestRef:
        """The trial's own manifest."""
        return ManifestRef(prefix=self.prefix, sha256=self.sha256)


class CurvePoint(Model):
    """An optimizer step. ``loss`` is the mean over the batch's loss-bearing tokens,
    ``validation_loss`` stands where it was measured; ``tokens`` and ``seconds`` are totals since
    the trial began, over all attempts, without validation and checkpoints."""

    step: int
    loss: float
    validation_loss: float | None = None
    learning_rate: float
    grad_norm: float
    tokens: int
    seconds: float


def trials_of(manifest: StepManifest) -> tuple[TrialRef, ...]:
    """The trials that a finished ``train`` step names, arm by arm in the job's order."""
    return tuple(TrialRef.model_validate(trial) for trial in manifest.summary["trials"])


def trial_hash(inputs: TrainInputs, *, arm: Arm, seed: int, targets: dict[str, str]) -> str:
    """What names a trial's result: 16 hex digits over all that decides its weights.

    Args:
        inputs: The step's; its lists of arms and seeds don't count.
        targets: Split to the SHA-256 of its file of training rows.
    """
    document: dict[str, Any] = {
        "inputs": {k: v for k, v in inputs.dump().items() if k not in ("arms", "seeds")},
        "arm": arm.value,
        "seed": seed,
        "targets": targets,
    }
    return sha256_hex(canonical_json(document))[:16]
