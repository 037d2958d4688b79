"""Rules of ``spec.dataset``, ``spec.prompts`` and ``spec.storage``."""

from collections.abc import Iterator

from distillery.errors import Problem
from distillery.spec.dataset import DataSource, Fields
from distillery.spec.job import JobSpec
from distillery.tasks import PromptVariant, TaskName

# Which columns make up a row of each task, where rows are no chats. All of them, or none.
COLUMNS_OF_TASK: dict[TaskName, tuple[str, ...]] = {
    TaskName.NLI: ("premise", "hypothesis"),
    TaskName.NLU_QA: ("question", "choices"),
    TaskName.MATH: ("user",),
    TaskName.SUMMARIZATION: ("user",),
    TaskName.CONVERSATION: (),
}
_ROW_COLUMNS = ("user", "premise", "hypothesis", "question", "choices")
_LABEL_TASKS = (TaskName.NLI, TaskName.NLU_QA)
_DATA_SCHEMES = ("file://", "s3://", "hf://datasets/")
_STORAGE_SCHEMES = ("file://", "s3://")
_MODEL_SCHEMES = ("file://", "s3://", "hf://")


def find_data_problems(spec: JobSpec) -> list[Problem]:
    """What is wrong with data, prompts and storage."""
    problems = []
    for path, source in _sources(spec):
        problems += [*_source_problems(path, source), *_field_problems(path, source.fields, spec)]
        if source.max_rows is not None and path.endswith("train"):
            problems += _too_few_rows(path, source.max_rows, spec)
    return [*problems, *_gold_problems(spec), *_prompt_problems(spec), *_storage_problems(spec)]


def find_data_warnings(spec: JobSpec) -> list[Problem]:
    """Validation rows below what a training split would need."""
    rows, minimum = spec.dataset.validation.max_rows, spec.facts.min_train_rows
    if rows is None or rows >= minimum:
        return []
    message = f"is few to choose a checkpoint by, got {rows}; {minimum} or more are better"
    return [Problem(path="spec.dataset.validation.maxRows", message=message)]


def scheme_problem(path: str, uri: str, schemes: tuple[str, ...]) -> list[Problem]:
    """A problem unless ``uri`` starts with one of ``schemes``."""
    if uri.startswith(schemes):
        return []
    accepted = ", ".join(schemes)
    return [Problem(path=path, message=f"must start with one of {accepted}, got '{uri[:80]}'")]


def model_uri_problem(path: str, uri: str, revision: str) -> list[Problem]:
    """What is wrong with a model's place."""
    problems = scheme_problem(f"{path}.uri", uri, _MODEL_SCHEMES)
    if revision != "main" and not uri.startswith("hf://"):
        problems.append(_hub_only(f"{path}.revision", revision))
    return problems


def _sources(spec: JobSpec) -> Iterator[tuple[str, DataSource]]:
    for name in ("train", "validation", "test"):
        yield f"spec.dataset.{name}", getattr(spec.dataset, name)


def _hub_only(path: str, value: str) -> Problem:
    return Problem(path=path, message=f"only means something for hf://, got '{value}'; remove it")


def _source_problems(path: str, source: DataSource) -> list[Problem]:
    problems = scheme_problem(f"{path}.uri", source.uri, _DATA_SCHEMES)
    if source.uri.startswith("hf://"):
        return problems
    for name, default in (("revision", "main"), ("config", ""), ("split", "")):
        value = getattr(source, name)
        if value != default:
            problems.append(_hub_only(f"{path}.{name}", value))
    return problems


def _field_problems(path: str, fields: Fields, spec: JobSpec) -> list[Problem]:
    given = [name for name in _ROW_COLUMNS if getattr(fields, name)]
    wanted = COLUMNS_OF_TASK[spec.task]
    if fields.messages and given:
        message = f"takes messages or columns, not both, got messages and {', '.join(given)}"
        return [Problem(path=f"{path}.fields", message=f"{message}; remove one of them")]
    if given and set(given) != set(wanted):
        ways = f"map {' and '.join(wanted)}, or use chat messages" if wanted else "use messages"
        message = f"are not the columns of {spec.task}, got {', '.join(given)}; {ways}"
        return [Problem(path=f"{path}.fields", message=message)]
    return []


def _too_few_rows(path: str, rows: int, spec: JobSpec) -> list[Problem]:
    minimum = spec.facts.min_train_rows
    if rows >= minimum:
        return []
    message = f"must be at least {minimum} for {spec.task}, got {rows}; take more rows"
    return [Problem(path=f"{path}.maxRows", message=message)]


def _gold_problems(spec: JobSpec) -> list[Problem]:
    if not spec.facts.needs_gold or spec.dataset.test.fields.gold:
        return []
    message = (
        f"is missing, and {spec.task} is scored on ground truth; name the column that holds it"
    )
    return [Problem(path="spec.dataset.test.fields.gold", message=message)]


def _prompt_problems(spec: JobSpec) -> list[Problem]:
    problems = []
    for name, variant in (
        ("chainOfThought", PromptVariant.CHAIN_OF_THOUGHT),
        ("chainOfDensity", PromptVariant.CHAIN_OF_DENSITY),
    ):
        words = spec.prompts.dump().get(name)
        if words and variant not in spec.teacher.prompts:
            message = (
                f"is never used, got a prompt; add {variant} to spec.teacher.prompts or remove it"
            )
            problems.append(Problem(path=f"spec.prompts.{name}", message=message))
    mapped = any(
        getattr(source.fields, column) for _, source in _sources(spec) for column in _ROW_COLUMNS
    )
    if spec.prompts.user and not mapped:
        message = "is never used, for no split has columns, got a template; map fields or remove it"
        problems.append(Problem(path="spec.prompts.user", message=message))
    if spec.dataset.max_words is not None and spec.task != TaskName.SUMMARIZATION:
        message = f"is for SUMMARIZATION only, got {spec.dataset.max_words}; remove it"
        problems.append(Problem(path="spec.dataset.maxWords", message=message))
    return [*problems, *_label_problems(spec)]


def _label_problems(spec: JobSpec) -> list[Problem]:
    path, labels = "spec.prompts.labels", spec.prompts.labels
    if not labels:
        return []
    if spec.task not in _LABEL_TASKS:
        return [Problem(path=path, message=f"{spec.task} has no label space; remove it")]
    if len({label.casefold() for label in labels}) < max(len(labels), 2):
        message = f"must be two or more different labels, got {', '.join(labels)[:80]}"
        return [Problem(path=path, message=message)]
    return []


def _storage_problems(spec: JobSpec) -> list[Problem]:
    problems = scheme_problem("spec.storage.uri", spec.storage.uri, _STORAGE_SCHEMES)
    if spec.storage.uri.startswith("file://"):
        problems += [
            Problem(
                path=f"spec.storage.{name}",
                message=f"only means something for s3://, got '{value[:80]}'; remove it",
            )
            for name, value in spec.storage.dump().items()
            if name != "uri" and isinstance(value, str) and value
        ]
    return problems
