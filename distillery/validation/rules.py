"""All rules together: what is wrong with a job, and what deserves a warning."""

from distillery.errors import Problem
from distillery.spec.job import DistillationJob
from distillery.validation.data import find_data_problems, find_data_warnings
from distillery.validation.runtime import find_runtime_problems
from distillery.validation.sizing import find_sizing_problems
from distillery.validation.students import find_student_problems
from distillery.validation.teacher import find_teacher_problems


def find_problems(job: DistillationJob) -> list[Problem]:
    """Everything that makes the job impossible, in the order of the specification."""
    return [*find_problems_but_sizing(job), *find_sizing_problems(job.spec)]


def find_problems_but_sizing(job: DistillationJob) -> list[Problem]:
    """The same without what can't fit, for a plan, which shows that itself."""
    return [
        *find_data_problems(job.spec),
        *find_teacher_problems(job.spec),
        *find_student_problems(job.spec),
        *find_runtime_problems(job.spec),
    ]


def find_warnings(job: DistillationJob) -> list[Problem]:
    """What will run, but probably not as hoped."""
    return find_data_warnings(job.spec)
