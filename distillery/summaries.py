"""The figures that prepare and curate leave in their manifests' ``summary``; the report reads them.

A summary is a model's ``dump()``: keys are camelCase, absent fields left out. Read one back with
``DataSummary.model_validate(manifest.summary)``.
"""

from pydantic import Field

from distillery.spec.model import Model


class SplitSummary(Model):
    """One split of the data, from its file to what is stored."""

    uri: str
    digest: str
    """The file's SHA-256, an S3 object's hashed ETag and size, or a hub data set's commit."""
    num_read: int
    """Rows of the file."""
    num_sampled: int
    """Rows drawn of them (``maxRows``)."""
    num_kept: int
    """Prepared rows: what the teacher is asked."""
    num_with_gold: int = 0
    """Prepared rows that have ground truth."""
    mean_chars: float = 0
    """Characters of a prepared row's messages, on average; 0 where it wasn't counted."""
    num_groups: int = 0
    """Different groups among the prepared rows, for clustered intervals."""
    num_rows_cut: int = 0
    """Prepared rows whose user turn was cut at ``dataset.maxWords``."""
    num_words_cut: int = 0
    dropped: dict[str, int] = Field(default_factory=dict)
    """Reason (``duplicate``, ``conflicting_gold``, ``overlap_test``, ``overlap_validation``,
    ``near_duplicate``) to the number of rows that left for it."""
    examples: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """Reason to the file's first lines (or rows) that left for it."""
    num_near_duplicates: int = 0
    """Rows nearly equal to an earlier row, or to one of validation or test; they stayed unless
    ``dataset.removeNearDuplicates`` was set."""
    near_duplicate_examples: tuple[int, ...] = ()
    gold_classes: dict[str, int] = Field(default_factory=dict)
    """Gold label to its number of prepared rows, for tasks with a label space."""


class DataSummary(Model):
    """Prepare's summary: each split by name (train, validation, test), and what to mind."""

    splits: dict[str, SplitSummary]
    max_words: int | None = None
    notes: tuple[str, ...] = ()


class YieldSummary(Model):
    """What became of one split's prepared rows under one prompt variant."""

    split: str
    variant: str
    num_rows: int
    """Prepared rows, the ratio's denominator."""
    num_ok: int
    success_ratio: float
    statuses: dict[str, int]
    """Row status (``ok``, ``truncated``, ``unparsable``, ``invalid_label``, ``refused``,
    ``error``) to rows; they add up to ``num_rows``."""
    by_gold_class: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Gold class to its own statuses, where the task has labels and the rows have gold."""
    details: dict[str, int] = Field(default_factory=dict)
    """Why rows were rejected, in a few words each, to rows; the most frequent ones."""


class LabelQuality(Model):
    """How right a variant's usable labels are, measured on gold. ``accuracy`` is over the
    ``num_rows`` rows with gold that this variant answered; the ``common`` figures are over the rows
    that *every* variant answered, so that no variant looks better for skipping the hard ones."""

    split: str
    variant: str
    num_rows: int
    num_right: int
    accuracy: float
    num_common_rows: int
    num_common_right: int
    common_accuracy: float


class TargetSetSummary(Model):
    """A set of training rows: ``<Arm>-<Kind>``. ``num_common`` counts those rows (train and
    validation) that every set has, for comparing arms on equal rows."""

    name: str
    num_train: int
    num_validation: int
    num_train_common: int
    num_validation_common: int


class CurationSummary(Model):
    """Curate's summary. ``min_success_ratio`` is the gate that was passed."""

    yields: tuple[YieldSummary, ...]
    label_quality: tuple[LabelQuality, ...] = ()
    target_sets: tuple[TargetSetSummary, ...]
    num_samples_used: dict[str, int] = Field(default_factory=dict)
    """With several samples a prompt: which sample (0, 1, ...) was the first usable one, to rows."""
    min_success_ratio: float
