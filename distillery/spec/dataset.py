"""``spec.dataset`` and ``spec.prompts``: where rows come from and how they are put into words."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from distillery.spec.model import Model

Uri = Annotated[str, Field(min_length=1, max_length=1024)]


class DataFormat(StrEnum):
    """How a data file is written. Left out, the file's ending decides."""

    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"


class Fields(Model):
    """Which column holds what. A nested JSON key is written with dots (``question.stem``)."""

    messages: str = Field(default="", max_length=128)
    """Column of chat messages (a list of role and content). Default where the row has it."""
    user: str = Field(default="", max_length=128)
    """Column whose text is the whole user turn (MATH question, article to summarise)."""
    premise: str = Field(default="", max_length=128)
    """NLI: the premise."""
    hypothesis: str = Field(default="", max_length=128)
    """NLI: the hypothesis."""
    question: str = Field(default="", max_length=128)
    """NLU_QA: the question."""
    choices: str = Field(default="", max_length=128)
    """NLU_QA: a list of texts, or of objects with ``label`` and ``text``."""
    gold: str = Field(default="", max_length=128)
    """The ground truth: label, number, or reference summary. Kept apart from every prompt."""
    group: str = Field(default="", max_length=128)
    """Rows equal here are one cluster for confidence intervals. NLI: the premise by default."""


class DataSource(Model):
    """One file or hub data set."""

    uri: Uri
    """``file://``, ``s3://`` or ``hf://datasets/<owner>/<name>``; a plain path for the command."""
    format: DataFormat | None = None
    """Default: by the file's ending (.jsonl .csv .tsv .parquet)."""
    fields: Fields = Fields()
    max_rows: int | None = Field(default=None, ge=1, le=10_000_000)
    """Take this many rows, drawn by ``dataset.seed`` before duplicates are removed."""
    revision: str = Field(default="main", max_length=128)
    """``hf://`` only: branch, tag or commit; pinned to the commit found."""
    config: str = Field(default="", max_length=128)
    """``hf://`` only: the data set's configuration."""
    split: str = Field(default="", max_length=128)
    """``hf://`` only: the data set's split. Default: the name of this field (train, ...)."""


class DatasetSpec(Model):
    """The three splits. Test is answered by the teacher for reference only, never trained on."""

    train: DataSource
    validation: DataSource
    test: DataSource
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Draws the rows where ``maxRows`` takes fewer than there are."""
    max_words: int | None = Field(default=None, ge=16, le=100_000)
    """SUMMARIZATION: cut each article after this many words. The report says how many were cut."""
    remove_near_duplicates: bool = False
    """Also drop train rows nearly equal (MinHash) to another row. They are counted anyway."""


class PromptsSpec(Model):
    """The words put to teacher and student. Empty: the task's own library."""

    system: str | None = Field(default=None, max_length=8192)
    """Vanilla system message, for rows built from columns and for chat rows alike. ``""``: none."""
    user: str = Field(default="", max_length=8192)
    """Template of the user turn from columns, such as ``Question: {question}``."""
    chain_of_thought: str = Field(default="", max_length=8192)
    """System message that replaces the vanilla one when the teacher reasons. It must ask for
    JSON ``{"reason": ..., "answer": ...}``."""
    chain_of_density: str = Field(default="", max_length=8192)
    """System message for rounds of denser summaries, as a JSON list of rounds."""
    max_reason_words: int = Field(default=80, ge=1, le=4096)
    """How long the teacher may reason (METHOD: 80 words)."""
    max_summary_words: int = Field(default=80, ge=5, le=4096)
    """SUMMARIZATION: longest summary (METHOD: 80 words)."""
    density_rounds: int = Field(default=4, ge=1, le=10)
    """SUMMARIZATION: rounds of chain of density (METHOD: 4)."""
    labels: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field(
        default=(), max_length=64
    )
    """NLI, NLU_QA: the allowed answers, if not the task's own."""
