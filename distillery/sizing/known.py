"""What is known of a model: its shape and how its weights are kept, by name or by its config."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from distillery.sizing.precisions import WeightFormat
from distillery.sizing.shape_table import find_shape, format_of_name
from distillery.sizing.shapes import ModelShape, shape_of_config, weights_of_config


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A model that can be sized."""

    shape: ModelShape
    weights: WeightFormat

    @property
    def weight_bytes(self) -> float:
        """Bytes of all its weights."""
        return self.shape.weight_bytes(self.weights)


Knows = Callable[[str], KnownModel | None]
"""What is known of the model at an address; None: nothing."""


def known_by_name(uri: str) -> KnownModel | None:
    """By the last part of its address."""
    shape = find_shape(uri)
    return None if shape is None else KnownModel(shape=shape, weights=format_of_name(uri))


def known_by_config(config: Mapping[str, Any], *, name: str) -> KnownModel:
    """By its ``config.json``. Raises as ``shape_of_config``."""
    return KnownModel(shape=shape_of_config(config, name=name), weights=weights_of_config(config))
