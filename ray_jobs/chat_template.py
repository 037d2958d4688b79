"""A model's chat template as text in, text out, with what is odd about it found out by rendering.

Used by ``ray_jobs.rendering`` alone. Refuses templates that would render otherwise tomorrow.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from distillery.errors import SpecError
from ray_jobs.records import Message

_CLOCK = re.compile(r"\bstrftime_now\b|\bdatetime\b")
"""The ways a template can ask for the time: transformers' own function, and vLLM's variable."""

_PROBE_SYSTEM = Message(role="system", content="SYSTEMPROBE")
_PROBE_USER = Message(role="user", content="USERPROBE")
_PROBE_REPLY = Message(role="assistant", content="REPLYPROBE")


class ChatTemplate:
    """The template of a loaded tokenizer.

    Args:
        tokenizer: A ``transformers`` tokenizer.
        place: Named in errors: the model's folder.
        date: ``YYYY-MM-DD``, what the template is told today is; none if empty.

    Raises:
        SpecError: ``TemplateMissing``; ``TemplateDate``.
    """

    def __init__(self, tokenizer: Any, *, place: str, date: str | None) -> None:
        self.place = place
        self._tokenizer = tokenizer
        self.source = self._get_source()
        prints_date = bool(_CLOCK.search(self.source))
        if prints_date and not date:
            raise SpecError(
                f"{place}: the chat template prints today's date, so the same prompt would differ "
                "tomorrow, got no pinned date; set model.date to YYYY-MM-DD",
                reason="TemplateDate",
            )
        self.date = date if prints_date else None
        self._variables = _pin_clock(self.date)

    def render(self, messages: Sequence[Message], *, prompt: bool) -> str:
        """The conversation's text, ending where the assistant speaks next if ``prompt``.

        Raises:
            SpecError: ``TemplateRefused`` where the template refuses the order of roles.
        """
        from jinja2.exceptions import TemplateError

        turns = [{"role": turn.role, "content": turn.content} for turn in messages]
        try:
            text: str = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=prompt, **self._variables
            )
        except TemplateError as error:
            roles = ",".join(turn.role for turn in messages)
            raise SpecError(
                f"messages: the model's chat template refuses these roles, got {roles[:80]}; "
                "let user and assistant alternate, after at most one system message",
                reason="TemplateRefused",
            ) from error
        return text

    def has_system_role(self) -> bool:
        """Whether a system message is printed, and stays in place as the dialogue goes on.

        Some templates move it to the last user message: there, merging it into the first one is
        chosen if that keeps earlier text as it was.
        """
        try:
            first = self.render([_PROBE_SYSTEM, _PROBE_USER], prompt=True)
            longer = self.render(
                [_PROBE_SYSTEM, _PROBE_USER, _PROBE_REPLY, _PROBE_USER], prompt=True
            )
        except SpecError:
            return False
        if _PROBE_SYSTEM.content not in first:
            return False
        if longer.startswith(first):
            return True
        plain = self.render([_PROBE_USER], prompt=True)
        return not self.render([_PROBE_USER, _PROBE_REPLY, _PROBE_USER], prompt=True).startswith(
            plain
        )

    def after_reply(self) -> str:
        """What the template writes after an assistant's reply."""
        whole = self.render([_PROBE_USER, _PROBE_REPLY], prompt=False)
        return whole.rpartition(_PROBE_REPLY.content)[2]

    def _get_source(self) -> str:
        try:
            source: str = self._tokenizer.get_chat_template()
        # What transformers raises for a tokenizer without a template.
        except ValueError as error:
            raise SpecError(
                f"{self.place}: the tokenizer has no chat template, so nobody knows how the model "
                "is asked; use an instruct model or add chat_template.jinja",
                reason="TemplateMissing",
            ) from error
        return source


def _pin_clock(date: str | None) -> dict[str, Any]:
    """Template variables that stand before transformers' own clock."""
    if date is None:
        return {}
    try:
        day = datetime.strptime(date, "%Y-%m-%d")  # noqa: DTZ007 (a calendar day has no zone)
    except ValueError as error:
        raise SpecError(
            f"model.date: must be a day as YYYY-MM-DD, got {date[:20]!r}; for example 2026-01-31"
        ) from error
    return {"strftime_now": day.strftime, "datetime": day.strftime("%Y-%m-%d")}
