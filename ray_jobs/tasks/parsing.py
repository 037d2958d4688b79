"""Strict readers of a model's text: never the first digit or letter, never a guess.

What can't be read becomes a ``Parsed`` that says why, in fixed words that quote nothing. Numbers
are read in ``numbers.py``. No function here raises, whatever the text.

Decisions: a reply that must be JSON is exactly one JSON value; one code fence around it is accepted
and noted in ``Parsed.detail``; a key given twice, a missing key or an extra key is unparsable.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_jobs.engines.base import FinishReason
from ray_jobs.records import RowStatus
from ray_jobs.tasks.base import Parsed
from ray_jobs.tasks.refusals import is_refusal

FENCED = "in a code fence"
"""``Parsed.detail`` of an accepted answer whose JSON stood in a code fence."""

REASON, ANSWER = "reason", "answer"
ENTITIES, SUMMARY = "missing_entities", "denser_summary"

_FENCE = re.compile(r"\A```(?:json|JSON)?[ \t]*\n(.*?)\n?[ \t]*```\Z", re.DOTALL)
_QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019"}
_BRACKETED = re.compile(r"\A(?:\((\w)\)|(\w)\))\Z")
_FOREIGN_LABEL = re.compile(r"\A[\w'-]+(?: [\w'-]+)*\Z")
_MAX_LABEL_CHARS = 64


@dataclass(frozen=True, kw_only=True)
class ReasonedAnswer:
    """A well-formed ``{"reason", "answer"}``. ``is_number``: the answer was a bare JSON number."""

    reason: str
    answer: str
    is_number: bool
    is_fenced: bool


@dataclass(frozen=True, kw_only=True)
class DensityRounds:
    """A well-formed list of rounds: the entities each named, and the summary it wrote."""

    entities: tuple[tuple[str, ...], ...]
    summaries: tuple[str, ...]
    is_fenced: bool


@dataclass(frozen=True, kw_only=True)
class _Json:
    value: Any
    is_fenced: bool


class _Number(str):
    """A JSON number as it was written, told apart from a string."""


class _RefusedJsonError(ValueError):
    """Well-formed JSON that is not accepted; carries the fixed words for ``detail``."""


def reject(status: RowStatus, detail: str) -> Parsed:
    """An answer that says nothing, and why."""
    return Parsed(status=status, detail=detail)


def unparsable(detail: str) -> Parsed:
    """An answer that can't be read, and why."""
    return reject(RowStatus.UNPARSABLE, detail)


def reject_unfinished(text: str, finish: FinishReason) -> Parsed | None:
    """The verdict on an answer that is no whole, legible text; None where it is worth reading."""
    if finish is FinishReason.ERROR:
        return reject(RowStatus.ERROR, "the engine gave no answer")
    if finish is not FinishReason.STOP:
        place = "context window" if finish is FinishReason.CONTEXT else "token limit"
        return reject(RowStatus.TRUNCATED, f"cut at the {place}")
    if not text.strip():
        return unparsable("empty")
    return None if _is_encodable(text) else unparsable("not valid Unicode")


def match_label(text: str, labels: Sequence[str]) -> str | None:
    """The label that ``text`` is, as the label space writes it; None where it is none.

    White space, case, one pair of quotes and one full stop around it are ignored; where all labels
    are single characters, so are ``(A)`` and ``A)``.
    """
    key = label_key(text)
    for label in labels:
        if label_key(label) == key:
            return label
    bracketed = _BRACKETED.match(key)
    if bracketed is None or any(len(label) != 1 for label in labels):
        return None
    inner = bracketed[1] or bracketed[2]
    return next((label for label in labels if label_key(label) == inner), None)


def label_key(text: str) -> str:
    """What two spellings of one label have in common."""
    bare = text.strip()
    without_stop = _drop_stop(bare)
    inner = _unquote(without_stop)
    if inner != without_stop and without_stop == bare:
        inner = _drop_stop(inner)
    return inner.casefold()


def read_label(text: str, labels: Sequence[str], *, is_whole_form: bool) -> Parsed:
    """The label in ``text``, else INVALID_LABEL for a well-formed foreign one, else UNPARSABLE.

    ``is_whole_form`` says that the form around the text (JSON) was right, so that any foreign text
    is a foreign label; without it, only a phrase no longer than the longest label is.
    """
    label = match_label(text, labels)
    if label is not None:
        return Parsed(status=RowStatus.OK, answer=label)
    if is_refusal(text):
        return reject(RowStatus.REFUSED, "refused")
    key = label_key(text)
    longest = max((len(label.split()) for label in labels), default=1)
    looks_like_one = (
        len(key) <= _MAX_LABEL_CHARS
        and len(key.split()) <= longest
        and (_FOREIGN_LABEL.match(key) or _BRACKETED.match(key))
    )
    if is_whole_form or looks_like_one:
        return reject(RowStatus.INVALID_LABEL, "not one of the labels")
    return unparsable("not a label alone")


def read_reasoned(text: str) -> ReasonedAnswer | Parsed:
    """The one JSON object ``{"reason", "answer"}`` that ``text`` is."""
    document = _read_json(text)
    if isinstance(document, Parsed):
        return document
    value = document.value
    if not isinstance(value, dict):
        return unparsable("not a JSON object")
    if problem := _wrong_keys(value, (REASON, ANSWER)):
        return unparsable(problem)
    reason, answer = value[REASON], value[ANSWER]
    if not isinstance(reason, str) or isinstance(reason, _Number):
        return unparsable("reason is no text")
    if not isinstance(answer, str):
        return unparsable("answer is neither text nor number")
    return ReasonedAnswer(
        reason=reason,
        answer=str(answer),
        is_number=isinstance(answer, _Number),
        is_fenced=document.is_fenced,
    )


def read_density_rounds(text: str, *, num_rounds: int) -> DensityRounds | Parsed:
    """The JSON list of exactly ``num_rounds`` rounds that ``text`` is.

    A round's entities may be one text or a list of texts; its summary must not be blank.
    """
    document = _read_json(text)
    if isinstance(document, Parsed):
        return document
    rounds = document.value
    if not isinstance(rounds, list):
        return unparsable("not a JSON list")
    if len(rounds) != num_rounds:
        less_or_more = "fewer" if len(rounds) < num_rounds else "more"
        return unparsable(f"{less_or_more} rounds than asked")
    entities: list[tuple[str, ...]] = []
    for entry in rounds:
        if not isinstance(entry, dict):
            return unparsable("a round is no JSON object")
        if problem := _wrong_keys(entry, (ENTITIES, SUMMARY)):
            return unparsable(problem)
        named = entry[ENTITIES] if isinstance(entry[ENTITIES], list) else [entry[ENTITIES]]
        if not all(_is_text(item) for item in named):
            return unparsable("missing_entities is no text")
        if not _is_text(entry[SUMMARY]) or not entry[SUMMARY].strip():
            return unparsable("denser_summary is no text")
        entities.append(tuple(named))
    summaries = tuple(entry[SUMMARY].strip() for entry in rounds)
    return DensityRounds(
        entities=tuple(entities), summaries=summaries, is_fenced=document.is_fenced
    )


def write_reasoned(reason: str, answer: str) -> str:
    """The JSON text that ``read_reasoned`` reads back."""
    return json.dumps({REASON: reason, ANSWER: answer}, ensure_ascii=False)


def _read_json(text: str) -> _Json | Parsed:
    bare = text.strip()
    fence = _FENCE.match(bare)
    body = fence[1] if fence else bare
    if not body.lstrip().startswith(("{", "[")):
        return reject(RowStatus.REFUSED, "refused") if is_refusal(bare) else unparsable("no JSON")
    try:
        value = json.loads(
            body,
            object_pairs_hook=_unique_keys,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_refuse_constant,
        )
    except _RefusedJsonError as error:
        return unparsable(str(error))
    except json.JSONDecodeError as error:
        return unparsable("text after the JSON" if error.msg == "Extra data" else "broken JSON")
    except RecursionError:
        return unparsable("JSON nested too deep")
    if not _is_encodable(body) or not _is_encodable(json.dumps(value, ensure_ascii=False)):
        return unparsable("not valid Unicode")
    return _Json(value=value, is_fenced=fence is not None)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise _RefusedJsonError("a key stands twice")
    return dict(pairs)


def _refuse_constant(name: str) -> Any:
    raise _RefusedJsonError("a number that is none")


def _wrong_keys(value: Mapping[str, Any], wanted: Sequence[str]) -> str:
    for key in wanted:
        if key not in value:
            return f"no {key}"
    return "an extra key" if len(value) > len(wanted) else ""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, _Number)


def _is_encodable(text: str) -> bool:
    """Lone surrogates can be written as JSON escapes but in no file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _drop_stop(text: str) -> str:
    return text[:-1].rstrip() if len(text) > 1 and text.endswith(".") else text


def _unquote(text: str) -> str:
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        return text[1:-1].strip()
    return text
