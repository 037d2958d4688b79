"""Plain refusals told from answers, conservatively: English, first person, at the very start.

"I'm sorry, but I can't help with that" is one; a text that merely contains such words is not.
"""

import re

_APOSTROPHE = "['\u2019]"
_SORRY = (
    rf"(?:(?:i{_APOSTROPHE}?m|i am) (?:very |so |really |truly )?sorry|"
    r"sorry|apologies|unfortunately)"
)
_AS_AN_AI = r"as an ai(?: language)?(?: model| assistant)?"
_CANNOT = (
    rf"i(?: am|{_APOSTROPHE}m)? (?:cannot|can{_APOSTROPHE}t|can not|unable to|not able to|"
    rf"won{_APOSTROPHE}t|will not|must decline to|have to decline to|not comfortable)"
)
_ACTION = (
    r"(?:help|assist|answer|comply|provide|fulfil+|complete|engage|create|generate|write|produce|"
    r"discuss|process|do (?:that|this)|summari[sz]e|continue|respond|share|give)"
)
_REFUSAL = re.compile(
    rf"\A(?:{_SORRY}[,.;:!]?\s+(?:but )?)?(?:{_AS_AN_AI},?\s+)?"
    rf"{_CANNOT}\s+(?:to |with )?{_ACTION}\b",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Whether the text opens with a plain refusal to do the task; in doubt it does not."""
    return _REFUSAL.match(text.strip()) is not None
