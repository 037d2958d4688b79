"""``hf://datasets/<owner>/<name>``: raw rows by the ``datasets`` library, at a pinned commit."""

from collections.abc import Iterator
from typing import Any

from distillery.errors import SpecError
from distillery.spec.dataset import DataSource
from ray_jobs.hub import DATASET_SCHEME, hub_faults
from ray_jobs.prepare.readers import UNREADABLE, RawRow


def read_hub_rows(source: DataSource, *, commit: str, default_split: str) -> Iterator[RawRow]:
    """The rows of a hub data set's split. Class numbers come as their names.

    Raises:
        SpecError: ``DataUnreadable``: no such data set, configuration or split.
        TransientError, ExternalError: ``HubUnreachable``.
    """
    import datasets

    repo = source.uri.removeprefix(DATASET_SCHEME)
    split = source.split or default_split
    place = f"{DATASET_SCHEME}{repo}"
    with hub_faults(place, reason=UNREADABLE):
        try:
            table = datasets.load_dataset(repo, source.config or None, split=split, revision=commit)
        # What the library raises for a missing configuration or split, and for missing files.
        except (ValueError, datasets.exceptions.DatasetsError, FileNotFoundError) as error:
            raise SpecError(
                f"{place}: no readable split {split[:40]!r} of configuration "
                f"{source.config[:40]!r}, got {type(error).__name__}; set split and config",
                reason=UNREADABLE,
            ) from error
    names = {
        column: feature
        for column, feature in table.features.items()
        if isinstance(feature, datasets.ClassLabel)
    }
    for number, values in enumerate(table, start=1):
        yield RawRow(number=number, values=_name_classes(values, names))


def _name_classes(values: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """``values`` with class numbers as names; -1 is the hub's way to say unlabelled."""
    named = {
        column: None if values[column] in (None, -1) else feature.int2str(values[column])
        for column, feature in names.items()
    }
    return {**values, **named}
