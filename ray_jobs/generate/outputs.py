"""What the stage leaves: answer files, rejected examples, and the manifest's figures."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from distillery.manifests import Artefact
from distillery.stage_configs import GenerateConfig
from ray_jobs.answers.ledger import LedgerTotals
from ray_jobs.engines.base import EngineInfo
from ray_jobs.generate.tally import Tally
from ray_jobs.records import AnswerRow, RejectedRow, Split
from ray_jobs.step import StepTools
from ray_jobs.tables import store_rows


@dataclass(kw_only=True)
class Figures:
    """Measured while the stage ran; seconds. ``tokens_answered`` are those of answers that became
    durable in this attempt, between the first lease and the last flush."""

    read_s: float = 0.0
    start_s: float = 0.0
    steady_s: float = 0.0
    write_s: float = 0.0
    load_s: list[float] = field(default_factory=list)
    engine: EngineInfo | None = None
    tokens_answered: int = 0
    num_deaths: int = 0
    num_quarantined: int = 0


def answers_path(split: Split, variant: str) -> str:
    """Where the answers of a split and variant lie below the step's prefix: test rows apart, for
    curate and train get no path to them."""
    folder = "reference" if split == Split.TEST else "answers"
    return f"{folder}/{split.value}-{variant}.parquet"


def store_answers(config: GenerateConfig, tools: StepTools, tally: Tally) -> list[Artefact]:
    """Writes a file for each split and variant, rows in the order of ids, samples and turns."""
    return [
        store_rows(
            tools.storage,
            config.context.prefix,
            answers_path(split, variant.value),
            sorted(
                tally.rows.get((split, variant.value), ()),
                key=lambda row: (row.row_id, row.sample, row.turn),
            ),
            AnswerRow,
            scratch=tools.scratch / "out",
        )
        for split in Split
        for variant in config.inputs.variants
    ]


def store_rejected(config: GenerateConfig, tools: StepTools, tally: Tally) -> str:
    """Writes examples of rejected answers to the attempt's private folder; returns their URI."""
    path = f"attempts/{config.context.attempt}/rejected.parquet"
    examples = [row for rows in tally.rejected.values() for row in rows]
    store_rows(
        tools.storage,
        config.context.prefix,
        path,
        examples,
        RejectedRow,
        scratch=tools.scratch / "out",
    )
    return tools.storage.uri_of(f"{config.context.prefix}/{path}")


def build_summary(tally: Tally, figures: Figures, *, ledger: LedgerTotals) -> dict[str, Any]:
    """The manifest's figures: counts, tokens (this attempt's answers; the ledger's, all attempts'
    on this machine, cut ones and losses included) and seconds."""
    rows = [row for group in tally.rows.values() for row in group]
    new = [row for row in rows if row.key and not row.reused]
    speed = figures.tokens_answered / figures.steady_s if figures.steady_s else 0.0
    return {
        "groups": [
            {
                "split": split.value,
                "variant": variant,
                "numUsable": tally.usable[split, variant],
                "statuses": dict(Counter(row.status.value for row in group)),
                "reasons": dict(Counter(row.reason for row in group if row.reason)),
                "tokensGenerated": sum(row.num_tokens for row in group if not row.reused),
                "tokensReused": sum(row.num_tokens for row in group if row.reused),
            }
            for (split, variant), group in sorted(tally.rows.items())
        ],
        "numAnswers": len(rows),
        "numGenerated": len(new),
        "numReused": sum(row.reused for row in rows),
        "numQuarantined": figures.num_quarantined,
        "numEngineDeaths": figures.num_deaths,
        "tokensGenerated": sum(row.num_tokens for row in new),
        "tokensReused": sum(row.num_tokens for row in rows if row.reused),
        "promptTokens": sum(row.num_prompt_tokens for row in new),
        "tokensPerSecond": round(speed, 1),
        "ledger": {"tokens": ledger.tokens, "numEngines": ledger.num_engines},
        "seconds": {
            "read": round(figures.read_s, 3),
            "start": round(figures.start_s, 3),
            "loadModel": [round(seconds, 3) for seconds in figures.load_s],
            "steady": round(figures.steady_s, 3),
            "write": round(figures.write_s, 3),
        },
        "engine": _describe_engine(figures.engine),
    }


def _describe_engine(info: EngineInfo | None) -> dict[str, Any]:
    """Empty where no engine was needed."""
    if info is None:
        return {}
    return {
        "type": info.type,
        "version": info.version,
        "maxModelLen": info.max_model_len,
        "settings": info.settings,
    }
