"""What becomes of a job's attempts, told beforehand; ``kuberay_world.py`` has it acted out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from distillery.spec.job import DistillationJob
from tests.attempts import make_outcome, make_verdict
from tests.doubles.kuberay.behaviour import Behaviour, Said, Script

RUNS_S = 0.3


@dataclass(frozen=True, kw_only=True)
class Plot:
    """How a job's attempts go. ``acts`` maps ``<step>/<attempt>`` to a script; the rest does what
    it should, and prepare finds ``finished`` steps."""

    job: DistillationJob
    finished: tuple[str, ...] = ()
    acts: Mapping[str, Script] = field(default_factory=dict)

    def script(self, step: str, attempt: int) -> Script:
        """The script of an attempt."""
        return self.acts.get(f"{step}/{attempt}") or do_well(self.job, step, finished=self.finished)


def do_well(
    job: DistillationJob,
    step: str,
    *,
    finished: tuple[str, ...] = (),
    runs_s: float = RUNS_S,
    records: tuple[Said, ...] = (),
) -> Behaviour:
    """A step that does what it should."""
    summary = make_verdict(job, finished=finished).dump() if step == "prepare" else {}
    return Behaviour(runs_s=runs_s, records=records, outcome=make_outcome(step, summary=summary))
