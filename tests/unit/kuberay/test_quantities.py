"""Kubernetes quantities."""

from fractions import Fraction

import pytest

from controller.launchers.kuberay.quantities import parse_quantity


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("500m", Fraction(1, 2)),
        ("8Gi", Fraction(8 * 1024**3)),
        ("1.5Gi", Fraction(3 * 1024**3, 2)),
        ("16000M", Fraction(16 * 10**9)),
        ("2k", Fraction(2000)),
        ("1e3", Fraction(1000)),
        ("5E-1", Fraction(1, 2)),
        ("2E", Fraction(2 * 10**18)),
        (".5", Fraction(1, 2)),
        ("3.", Fraction(3)),
        (4, Fraction(4)),
        (0.1, Fraction(1, 10)),
        ("0", Fraction(0)),
        ("lots", None),
        ("8GB", None),
        ("-1", None),
        ("", None),
        (None, None),
        (True, None),
        ([], None),
    ],
)
def test_a_quantity_is_an_exact_number(text: object, want: Fraction | None) -> None:
    assert parse_quantity(text) == want
