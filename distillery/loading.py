"""A job file's text to a DistillationJob, with every problem found at once.

YAML is read as Kubernetes reads it: ``1e-4`` is a number, a key given twice is an error. The
wording of single-field problems is ``field_problems.py``; rules across fields ``validation/``.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from distillery.errors import Problem, SpecError
from distillery.field_problems import Location, find_field_problems
from distillery.spec.job import DistillationJob
from distillery.validation.rules import find_problems, find_warnings

Transform = Callable[[DistillationJob], DistillationJob]
Rules = Callable[[DistillationJob], list[Problem]]


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice and reads 1e-4 as a number, as YAML 1.2 does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key '{key}' is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)$"),
    list("-+0123456789."),
)


def load_job(
    text: str,
    *,
    overrides: Sequence[str] = (),
    source: str = "job",
    resolve: Transform | None = None,
    rules: Rules = find_problems,
) -> DistillationJob:
    """The job in ``text``.

    Args:
        overrides: ``path=value`` each, such as ``spec.teacher.sampling.maxTokens=256``; the
            leading ``spec.`` may be left out.
        source: The file's name, for messages.
        resolve: Applied before the rules across fields, such as making plain paths URIs.
        rules: The rules across fields.

    Raises: ``SpecError`` with all problems.
    """
    document = _parse_yaml(text, source)
    for override in overrides:
        _override(document, override)
    job, problems = _parse_job(document)
    if job is not None:
        resolved = resolve(job) if resolve else job
        known = {problem.path for problem in problems}
        problems += [problem for problem in rules(resolved) if problem.path not in known]
        if not problems:
            return resolved
    raise SpecError.from_problems(problems)


def warnings_for(job: DistillationJob) -> list[Problem]:
    """What will run, but probably not as hoped."""
    return find_warnings(job)


def _parse_yaml(text: str, source: str) -> dict[str, Any]:
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{source}:{mark.line + 1}" if mark else source
        problem = getattr(error, "problem", None) or "can't be read"
        raise SpecError(f"{place}: is no valid YAML, {problem}; mend the line") from error
    given = [document for document in documents if document is not None]
    if len(given) != 1 or not isinstance(given[0], dict):
        raise SpecError(
            f"{source}: must hold one DistillationJob, got {len(given)} documents; "
            "start from manifests/samples/quickstart.yaml"
        )
    return dict(given[0])


def _override(document: dict[str, Any], override: str) -> None:
    path, equals, value = override.partition("=")
    if not equals or not path:
        raise SpecError(
            f"--set: must look like path=value, got '{override[:80]}'; "
            "for example teacher.sampling.maxTokens=256"
        )
    parts = _path_parts(path)
    if parts[0] not in ("spec", "metadata"):
        parts = ["spec", *parts]
    node: Any = document
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        try:
            if last:
                node[part] = yaml.load(value, Loader=_Loader)
            elif isinstance(node, dict):
                node = node.setdefault(part, {})
            else:
                node = node[part]
        except (TypeError, IndexError, yaml.YAMLError) as error:
            raise SpecError(
                f"--set: no such place, got '{path[:80]}'; write it as in the job file, "
                "a list's items as students[0]"
            ) from error


def _path_parts(path: str) -> list[Any]:
    parts: list[Any] = []
    for piece in path.split("."):
        name, *indices = re.split(r"\[(\d+)\]", piece)
        parts += [name] if name else []
        parts += [int(index) for index in indices if index]
    return parts


def _parse_job(document: dict[str, Any]) -> tuple[DistillationJob | None, list[Problem]]:
    """The job, parsed without its faulty fields where it must be, and those fields' problems."""
    try:
        return _validate(document), []
    except ValidationError as error:
        problems, faults = find_field_problems(error, document)
    pruned = json.loads(json.dumps(document, default=str))
    for fault in sorted(faults, key=len, reverse=True):
        _remove(pruned, fault)
    try:
        return _validate(pruned), problems
    except ValidationError:
        return None, problems


def _validate(document: dict[str, Any]) -> DistillationJob:
    return DistillationJob.model_validate_json(json.dumps(document, default=str), strict=True)


def _remove(document: Any, location: Location) -> None:
    """Takes the faulty field out, so that the rules can be tried on the rest. Items of lists stay:
    removing one would shift the others' places."""
    node = document
    for part in location[:-1]:
        node = node[part]
    if isinstance(node, dict):
        node.pop(location[-1], None)
