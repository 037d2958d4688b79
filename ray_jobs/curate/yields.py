"""How many rows ended how, by gold class, and the gate on the share of usable ones. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from distillery.errors import Problem, SpecError
from distillery.summaries import YieldSummary
from ray_jobs.curate.judging import Judged
from ray_jobs.records import GoldRow, RowStatus

TOO_LOW = "SuccessRatioTooLow"
MAX_DETAILS = 8


def sum_up_yield(judged: Sequence[Judged], gold: Mapping[str, GoldRow]) -> YieldSummary:
    """The figures of one split and variant.

    Args:
        gold: By row id, where rows shall be broken down by class; else empty.
    """
    curated = [verdict.curated for verdict in judged]
    statuses = Counter(row.status.value for row in curated)
    by_class: dict[str, Counter[str]] = {}
    for row in curated:
        if row.row_id in gold:
            by_class.setdefault(gold[row.row_id].gold, Counter())[row.status.value] += 1
    details = Counter(row.detail for row in curated if row.detail)
    return YieldSummary(
        split=curated[0].split.value,
        variant=curated[0].variant,
        num_rows=len(curated),
        num_ok=statuses[RowStatus.OK.value],
        success_ratio=statuses[RowStatus.OK.value] / len(curated),
        statuses=dict(sorted(statuses.items())),
        by_gold_class={name: dict(sorted(by_class[name].items())) for name in sorted(by_class)},
        details=dict(details.most_common(MAX_DETAILS)),
    )


def check_success(
    yields: Sequence[YieldSummary], *, min_success_ratio: float, examples_uri: str
) -> None:
    """Raises ``SpecError`` (reason ``SuccessRatioTooLow``) with a line for each split and variant
    below the ratio, reasons counted, and where examples lie."""
    low = [summary for summary in yields if summary.success_ratio < min_success_ratio]
    if not low:
        return
    problems = [_problem(summary, min_success_ratio) for summary in low]
    lines = [str(problem) for problem in problems]
    lines.append(
        f"rejected answers: {examples_uri}; mend the prompt, raise teacher.sampling.maxTokens, set "
        "structuredOutputs, or lower teacher.minSuccessRatio"
    )
    raise SpecError("\n".join(lines), reason=TOO_LOW, problems=problems)


def _problem(summary: YieldSummary, min_success_ratio: float) -> Problem:
    reasons = ", ".join(
        f"{status} {count}"
        for status, count in sorted(summary.statuses.items(), key=lambda item: -item[1])
        if status != RowStatus.OK
    )
    return Problem(
        path=f"{summary.split} {summary.variant}",
        message=f"usable answers must be at least {min_success_ratio:.0%} of the rows, got "
        f"{summary.num_ok} of {summary.num_rows} ({reasons})",
    )
