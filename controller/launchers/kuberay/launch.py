"""One try of a step, with all that its RayJob is built from."""

from dataclasses import dataclass

from distillery.names import child_name
from distillery.spec.job import DistillationJob
from distillery.stage_configs import StageConfig
from distillery.steps import Step


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Attempt ``number`` of ``step`` in the job's ``run``.

    ``uid`` is the DistillationJob's; ``image`` the one that was settled when it was accepted.
    """

    job: DistillationJob
    uid: str
    step: Step
    number: int
    run: int
    config: StageConfig
    image: str

    @property
    def name(self) -> str:
        """The RayJob's name, and the submission id of its Ray job."""
        return child_name(
            job=self.job.metadata.name,
            job_uid=self.uid,
            step_id=self.step.id,
            stage=self.step.stage,
            attempt=self.number,
        )

    @property
    def log_prefix(self) -> str:
        """Where the attempt's logs are kept, below the storage's root."""
        metadata = self.job.metadata
        place = f"jobs/{metadata.namespace}/{metadata.name}/{self.step.id}"
        return f"{place}/attempts/{self.run}-{self.number}/logs"
