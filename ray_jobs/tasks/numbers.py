"""Numbers as answers: one spelling for each value, strictly read.

Accepted: ``20``, ``-20``, ``+20``, ``20.0``, ``1,234`` (commas in the right places), ``1.5e3``; a
currency sign before it and one unit after it (``$20``, ``20%``, ``20 apples``, ``20 square feet``)
are dropped; one full stop at the end. ``0.2`` and ``20%`` are different answers. Anything
else is no number: a sentence, two numbers, a fraction, a formula, a range.
"""

import re

MAX_NUMBER_CHARS = 40
"""Longer is a model that can't stop, not an answer."""

_MAX_EXPONENT = 30
_NUMBER = re.compile(
    r"""\A(?P<sign>[+\-\u2212]?)\s?[$€£¥]?\s?
    (?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)
    (?:\.(?P<decimals>[0-9]+))?
    (?:[eE](?P<exponent>[+-]?[0-9]{1,4}))?
    (?:\s?(?:%|(?:(?:square|cubic)\s)?[^\W\d_]{1,20}(?:/[^\W\d_]{1,10})?))?
    \.?\Z""",
    re.VERBOSE,
)


def normalise_number(text: str) -> str | None:
    """The number that ``text`` is, as plain digits (``-1234.5``); None where it is none."""
    bare = text.strip()
    if len(bare) > MAX_NUMBER_CHARS:
        return None
    match = _NUMBER.match(bare)
    if match is None:
        return None
    exponent = int(match["exponent"] or 0)
    if abs(exponent) > _MAX_EXPONENT:
        return None
    whole, decimals = match["whole"].replace(",", ""), match["decimals"] or ""
    whole, decimals = _shift(whole, decimals, exponent)
    whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
    magnitude = f"{whole}.{decimals}" if decimals else whole
    is_negative = match["sign"] in ("-", "\u2212") and magnitude != "0"
    return f"-{magnitude}" if is_negative else magnitude


def _shift(whole: str, decimals: str, exponent: int) -> tuple[str, str]:
    """The digits before and after the point, times ten to the ``exponent``."""
    if exponent >= 0:
        moved = decimals[:exponent].ljust(exponent, "0")
        return whole + moved, decimals[exponent:]
    padded = whole.rjust(-exponent, "0")
    return padded[:exponent], padded[exponent:] + decimals
