"""What must hold before the first step, and the figures that say so. Pure.

Looks at rendered examples of one arm; which form they are rendered in is the renderer's, and is
compared here with the one that prepare pinned.
"""

from collections.abc import Sequence

from distillery.errors import SpecError
from distillery.spec.model import Model
from distillery.stage_configs import PinnedModel
from ray_jobs.rendering import TrainingExample


class Preflight(Model):
    """Figures of one arm's training rows. ``limit`` is the longest row allowed in tokens;
    ``num_too_long`` rows exceed it and are left out. Token counts are of the rows kept."""

    num_rows: int
    num_too_long: int
    limit: int
    longest: int
    num_tokens: int
    num_loss_tokens: int

    @property
    def truncated_share(self) -> float:
        """Share of rows left out for their length."""
        return self.num_too_long / self.num_rows if self.num_rows else 0.0


def select_short(examples: Sequence[TrainingExample], *, limit: int) -> list[TrainingExample]:
    """The examples of at most ``limit`` tokens. A cut row would teach a cut answer, so it goes."""
    return [example for example in examples if len(example.ids) <= limit]


def measure_examples(examples: Sequence[TrainingExample], *, limit: int) -> Preflight:
    """The figures of all rows of an arm."""
    kept = select_short(examples, limit=limit)
    return Preflight(
        num_rows=len(examples),
        num_too_long=len(examples) - len(kept),
        limit=limit,
        longest=max((len(example.ids) for example in examples), default=0),
        num_tokens=sum(len(example.ids) for example in kept),
        num_loss_tokens=sum(sum(example.mask) for example in kept),
    )


def check_examples(
    arm: str,
    examples: Sequence[TrainingExample],
    *,
    limit: int,
    max_truncated_share: float,
    end_of_turn_id: int,
) -> Preflight:
    """The figures, if this arm may be trained.

    Raises:
        SpecError: ``NoTrainingRows``; ``TooManyTruncated``; ``NoLossTokens``;
            ``EndOfTurnUntrained``.
    """
    found = measure_examples(examples, limit=limit)
    if not examples:
        raise SpecError(
            f"arm {arm}: needs training rows, got 0; look at curate's drop report",
            reason="NoTrainingRows",
        )
    if found.truncated_share > max_truncated_share or found.num_too_long == found.num_rows:
        raise SpecError(
            f"training.maxLength: {arm} has {found.num_too_long} of {found.num_rows} rows longer "
            f"than {limit} tokens (maxTruncatedShare {max_truncated_share:g}), got a row of "
            f"{found.longest}; raise maxLength, or shorten the rows",
            reason="TooManyTruncated",
        )
    kept = select_short(examples, limit=limit)
    if not all(any(example.mask) for example in kept):
        raise SpecError(
            f"arm {arm}: each row needs a token that bears loss, got one without; "
            "let the assistant speak in it",
            reason="NoLossTokens",
        )
    if not all(_trains_end(example, end_of_turn_id) for example in kept):
        raise SpecError(
            f"arm {arm}: the token that ends a turn ({end_of_turn_id}) must bear loss, got a row "
            "where it doesn't, so the student would never stop; use another chat template",
            reason="EndOfTurnUntrained",
        )
    return found


def check_template(pin: PinnedModel, template_hash: str) -> None:
    """Raises ``SpecError`` (``TemplateChanged``) where the template is not the pinned one."""
    if template_hash != pin.template_hash:
        raise SpecError(
            f"model: the chat template must stay as prepare found it ({pin.template_hash[:12]}), "
            f"got {template_hash[:12]}; run the job again, it will pin the new one",
            reason="TemplateChanged",
        )


def _trains_end(example: TrainingExample, end_of_turn_id: int) -> bool:
    return any(
        token == end_of_turn_id and bears_loss
        for token, bears_loss in zip(reversed(example.ids), reversed(example.mask), strict=True)
    )
