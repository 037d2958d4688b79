"""Models of the tests' own: what becomes of a bound, and what the generator refuses to guess."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from distillery.crd.structural import build_structural
from distillery.errors import InvariantError
from distillery.spec.model import Model


def test_a_bound_above_which_a_value_must_be() -> None:
    class Share(Model):
        share: float = Field(default=0.5, gt=0, lt=1)
        """A share."""

    assert build_structural(Share)["properties"]["share"] == {
        "description": "A share. Default: 0.5.",
        "type": "number",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 1,
        "exclusiveMaximum": True,
        "default": 0.5,
    }


def test_a_keyword_the_generator_does_not_know_is_an_error() -> None:
    class Odd(Model):
        number: int = Field(multiple_of=2)
        """A number."""

    with pytest.raises(InvariantError) as caught:
        build_structural(Odd)
    assert str(caught.value) == (
        "Number: the generator knows no keyword multipleOf; "
        "teach it in distillery/crd/structural.py"
    )


def test_a_mapping_of_a_kind_is_an_error() -> None:
    class Labelled(Model):
        labels: dict[str, int]
        """Labels."""

    with pytest.raises(InvariantError) as caught:
        build_structural(Labelled)
    assert str(caught.value) == (
        "Labels: the generator knows no keyword additionalProperties with a schema; "
        "teach it in distillery/crd/structural.py"
    )


def test_a_union_without_a_tag_is_an_error() -> None:
    class Either(Model):
        value: int | str
        """One or the other."""

    with pytest.raises(InvariantError) as caught:
        build_structural(Either)
    assert str(caught.value) == (
        "Value: must be one form or null, got 2 forms; use a union with a discriminator"
    )


def test_a_field_that_differs_between_members_is_an_error() -> None:
    class Left(Model):
        """Left."""

        type: Literal["left"] = "left"
        size: int = Field(ge=0, le=1)

    class Right(Model):
        """Right."""

        type: Literal["right"] = "right"
        size: int = Field(ge=0, le=2)

    class Both(Model):
        side: Annotated[Left | Right, Field(discriminator="type")]

    with pytest.raises(InvariantError) as caught:
        build_structural(Both)
    assert str(caught.value) == (
        "size: must be the same in each member of a union, got different forms in left, right; "
        "give the field of one of them another name"
    )
