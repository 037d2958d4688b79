"""NLI: does a hypothesis follow from a premise?"""

from distillery.tasks import TASK_FACTS, TaskName
from ray_jobs.tasks.labelled import LabelledTask
from ray_jobs.tasks.prompt_library import LIBRARY, Words, nli_user_template


class NliTask(LabelledTask):
    """Natural language inference; entailment, contradiction, neutral unless the job says else."""

    name = TaskName.NLI
    needed_columns = ("premise", "hypothesis")

    def _library(self) -> Words:
        usual = TASK_FACTS[TaskName.NLI].default_labels
        words = LIBRARY[TaskName.NLI]
        return Words(
            system=words.system,
            user=nli_user_template(has_own_labels=set(self._options.labels) != set(usual)),
            advanced=words.advanced,
        )
