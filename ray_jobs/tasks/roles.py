"""The order of turns in a chat row, checked once when data is prepared.

Single-turn tasks: an optional system message, then one user message. CONVERSATION: an optional
system message, then user and assistant in turn. Putting prompts together is the tasks' business.
"""

from collections.abc import Sequence

from distillery.errors import SpecError
from ray_jobs.records import Message

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
_MAX_ROLES_SHOWN = 6
_MAX_ROLE_CHARS = 16


def check_single_turn(messages: Sequence[Message], *, task: str) -> None:
    """Raises ``SpecError``: ``WrongRoles`` unless [system,] user; ``EmptyTurn`` where blank."""
    roles = [message.role for message in messages]
    if roles not in ([USER], [SYSTEM, USER]):
        raise SpecError(
            f"messages: {task} takes one user turn, got roles {_show(roles)}; "
            "give user alone, or system and user, and keep the gold answer in a column of its own",
            reason="WrongRoles",
        )
    _check_user_text(messages)


def check_dialogue(messages: Sequence[Message]) -> None:
    """Raises ``SpecError``: ``WrongRoles`` unless [system,] user, assistant, user, ... in turn;
    ``EmptyTurn`` for a blank user turn."""
    roles = [message.role for message in messages]
    turns = roles[1:] if roles[:1] == [SYSTEM] else roles
    wanted = [USER if index % 2 == 0 else ASSISTANT for index in range(len(turns))]
    if not turns or turns != wanted:
        raise SpecError(
            f"messages: CONVERSATION takes user and assistant in turn, got roles {_show(roles)}; "
            "begin with user, after an optional system message",
            reason="WrongRoles",
        )
    _check_user_text(messages)


def system_text(messages: Sequence[Message]) -> str:
    """The text of the leading system message; empty where there is none."""
    return messages[0].content if messages and messages[0].role == SYSTEM else ""


def replace_system(messages: Sequence[Message], text: str | None) -> tuple[Message, ...]:
    """``messages`` with ``text`` as system message: ``None`` keeps its own, ``""`` removes it."""
    if text is None:
        return tuple(messages)
    rest = tuple(message for message in messages if message.role != SYSTEM)
    return (Message(role=SYSTEM, content=text), *rest) if text else rest


def _check_user_text(messages: Sequence[Message]) -> None:
    for number, message in enumerate(messages, start=1):
        if message.role == USER and not message.content.strip():
            raise SpecError(
                f"messages: user turn has no text, got a blank message {number}; "
                "drop the row or fill it in",
                reason="EmptyTurn",
            )


def _show(roles: Sequence[str]) -> str:
    shown = ", ".join(role[:_MAX_ROLE_CHARS] for role in roles[:_MAX_ROLES_SHOWN])
    more = ", ..." if len(roles) > _MAX_ROLES_SHOWN else ""
    return f"[{shown}{more}]"
