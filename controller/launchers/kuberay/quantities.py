"""Kubernetes quantities such as ``500m`` and ``8Gi`` as exact numbers."""

import re
from fractions import Fraction

_FORM = re.compile(
    r"^(\d+(?:\.\d*)?|\.\d+)(?:(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)|[eE]([-+]?\d{1,2}))?$"
)
_BINARY = {
    unit: Fraction(1024**power)
    for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
}
_DECIMAL = {
    unit: Fraction(1000**power) for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), 1)
}
_UNITS = {"m": Fraction(1, 1000)} | _DECIMAL | _BINARY

MIB = 1024**2


def parse_quantity(value: object) -> Fraction | None:
    """The number a quantity stands for; None where it is none, or below zero."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    found = _FORM.match(str(value))
    if found is None:
        return None
    number, unit, exponent = found.groups()
    scale = _UNITS[unit] if unit else Fraction(10) ** int(exponent or 0)
    return Fraction(number if not number.endswith(".") else number[:-1]) * scale
