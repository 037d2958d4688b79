"""What ``evaluate`` found for one student, as ``publish`` reads it.

Each evaluated model has a prefix and a manifest of its own, so that a repeated step, or one with a
trial more, skips those that are done.
"""

from pydantic import Field

from distillery.manifests import ManifestRef, StepManifest
from distillery.spec.model import Model
from distillery.tasks import Arm, PromptVariant

PREDICTIONS_NAME = "predictions.parquet"
"""Below an evaluation's prefix: one ``PredictionRow`` a test row and turn."""


class Evaluation(Model):
    """One model over the whole test split, greedy.

    ``arm`` is Base for the untrained student, whose ``seed`` is absent; ``variant`` is the prompt
    (anything but Vanilla is a reference row of the base). ``metrics`` are the task's, as fractions
    or in the unit their name says; ``seconds`` is from the first request to the last answer.
    """

    arm: Arm
    seed: int | None = None
    variant: PromptVariant = PromptVariant.VANILLA
    prefix: str
    sha256: str
    metrics: dict[str, float]
    num_rows: int = Field(ge=0)
    num_unparsable: int = Field(ge=0)
    num_tokens: int = Field(ge=0)
    seconds: float = Field(ge=0)

    @property
    def manifest(self) -> ManifestRef:
        """The evaluation's own manifest."""
        return ManifestRef(prefix=self.prefix, sha256=self.sha256)


def evaluations_of(manifest: StepManifest) -> tuple[Evaluation, ...]:
    """The evaluations a finished ``evaluate`` step names: base first, then arm by arm."""
    return tuple(Evaluation.model_validate(item) for item in manifest.summary["evaluations"])
