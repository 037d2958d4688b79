"""Makes a task from its name and a job's options."""

from distillery.errors import SpecError
from distillery.tasks import TaskName
from ray_jobs.tasks.base import Task, TaskOptions
from ray_jobs.tasks.conversation import ConversationTask
from ray_jobs.tasks.math_task import MathTask
from ray_jobs.tasks.nli import NliTask
from ray_jobs.tasks.nlu_qa import NluQaTask
from ray_jobs.tasks.summarization import SummarizationTask

_WITH_LABELS = (TaskName.NLI, TaskName.NLU_QA)


def make_task(name: TaskName, options: TaskOptions) -> Task:
    """The task ``name`` with these options.

    Raises:
        SpecError: Labels for a task without a label space, too few labels or two that are the
            same; a user template that names no column or an unknown one.
    """
    if options.labels and name not in _WITH_LABELS:
        raise SpecError(
            f"spec.prompts.labels: {name} has no label space, got {len(options.labels)} labels; "
            "leave them out"
        )
    match name:
        case TaskName.NLI:
            return NliTask(options)
        case TaskName.NLU_QA:
            return NluQaTask(options)
        case TaskName.MATH:
            return MathTask(options)
        case TaskName.SUMMARIZATION:
            return SummarizationTask(options)
        case TaskName.CONVERSATION:
            return ConversationTask(options)
