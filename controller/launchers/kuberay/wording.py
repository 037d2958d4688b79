"""One form for what is told of an attempt's pods: place, problem, what was got, the way out.

Kubernetes' own words may be long; they are cut, never the way out.
"""

from distillery.errors import MAX_MESSAGE_CHARS

MIN_GOT_CHARS = 24
"""What is left of the words of others at least."""


def phrase(place: str, problem: str, *, got: str, way_out: str) -> str:
    """``<place>: <problem>, got <got>; <way_out>`` within the length of a message."""
    got = " ".join(got.split())
    room = MAX_MESSAGE_CHARS - len(f": {problem}, got ; {way_out}")
    place = _cut(place, room - min(len(got), MIN_GOT_CHARS))
    got = _cut(got, room - len(place))
    return f"{place}: {problem}, got {got}; {way_out}"[:MAX_MESSAGE_CHARS]


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(0, room - 3)] + "..."
