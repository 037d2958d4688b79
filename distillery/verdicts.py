"""Prepare's verdict in the few bytes a step's outcome may take, and back. Pure.

It is written out plainly, as a person can read it in the log, while that fits; with many students
it is packed: left out is what the reader knows from the job itself (the models' addresses and
dates, the common head of all prefixes), and digests travel as base64. A test packs a job at all
bounds.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from distillery.errors import InvariantError
from distillery.manifests import ManifestRef
from distillery.progress import MAX_SUMMARY_BYTES
from distillery.spec.job import JobSpec
from distillery.spec.teacher import ModelRef
from distillery.stage_configs import PinnedModel, PrepareVerdict
from distillery.step_configs import TEACHER_PIN, student_pin

_DATASET, _PINS, _FINISHED, _IS_PACKED = "dataset", "pins", "finished", "isPacked"
_ESTIMATE = "estimate"


def pack_verdict(verdict: PrepareVerdict) -> dict[str, Any]:
    """The verdict as an outcome's summary, of at most ``MAX_SUMMARY_BYTES`` as JSON.

    Packed, ``dataset`` is ``[prefix, digest]``; ``pins`` maps names to ``[digest, template hash,
    commit]``, without the commit where there is none; ``finished`` maps step ids to ``[input hash,
    digest]``.
    """
    plain = verdict.dump()
    if len(json.dumps(plain)) <= MAX_SUMMARY_BYTES:
        return plain
    head = _head(verdict.dataset.prefix)
    finished = {}
    for step, ref in verdict.finished.items():
        stem, _, input_hash = ref.prefix.rpartition("/")
        if stem != f"{head}/{step}":
            raise InvariantError(f"{ref.prefix}: is no prefix of {step} below {head}")
        finished[step] = [input_hash, _shorten(ref.sha256)]
    return {
        _IS_PACKED: True,
        _DATASET: [verdict.dataset.prefix, _shorten(verdict.dataset.sha256)],
        _PINS: {name: _pack_pin(pin) for name, pin in verdict.pins.items()},
        _FINISHED: finished,
    } | ({_ESTIMATE: verdict.estimate.dump()} if verdict.estimate else {})


def unpack_verdict(summary: Mapping[str, Any], spec: JobSpec) -> PrepareVerdict:
    """The verdict that ``pack_verdict`` wrote for this job.

    Raises: ``InvariantError`` where ``summary`` is none, or of another job.
    """
    try:
        if not summary.get(_IS_PACKED):
            return PrepareVerdict.model_validate(summary)
        prefix, digest = summary[_DATASET]
        head = _head(prefix)
        models = _models(spec)
        return PrepareVerdict(
            dataset=ManifestRef(prefix=prefix, sha256=_lengthen(digest)),
            pins={
                name: _unpack_pin(models[name], packed) for name, packed in summary[_PINS].items()
            },
            finished={
                step: ManifestRef(prefix=f"{head}/{step}/{input_hash}", sha256=_lengthen(digest))
                for step, (input_hash, digest) in summary[_FINISHED].items()
            },
            estimate=summary.get(_ESTIMATE),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvariantError(
            f"prepare: its outcome is no verdict on this job, got {type(error).__name__}"
        ) from error


def _models(spec: JobSpec) -> dict[str, ModelRef]:
    return {
        TEACHER_PIN: spec.teacher.model,
        **{student_pin(student.name): student.model for student in spec.students},
    }


def _pack_pin(pin: PinnedModel) -> list[str]:
    packed = [_shorten(pin.digest), _shorten(pin.template_hash)]
    return [*packed, _shorten(pin.revision)] if pin.revision else packed


def _unpack_pin(model: ModelRef, packed: list[str]) -> PinnedModel:
    digest, template_hash, *revision = (_lengthen(part) for part in packed)
    return PinnedModel(
        uri=model.uri,
        revision=revision[0] if revision else "",
        date=model.date,
        digest=digest,
        template_hash=template_hash,
    )


def _head(prefix: str) -> str:
    """``jobs/<namespace>/<job>`` of ``jobs/<namespace>/<job>/<step>/<hash>``."""
    return prefix.rpartition("/")[0].rpartition("/")[0]


def _shorten(digest: str) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(digest)).decode().rstrip("=")


def _lengthen(text: str) -> str:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
