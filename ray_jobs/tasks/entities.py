"""A small rule-based entity finder, and entity density: how much of an article a summary names.

An entity is a run of capitalised words (``Prince Charles``, ``Department of Health``), an acronym
(``EU``), or a number with the unit word after it (``70 per cent``, ``2011``). Limits, known and
accepted: English only, no number words, no difference between a person and a place; a name given in
lower case is missed; a headline in capitals is one long entity. It needs no model, so that the same
text scores the same everywhere.
"""

import re

_APOSTROPHE = "'\u2019"
_TOKEN = re.compile(
    rf"""(?P<number>[$\u20ac\u00a3]?[0-9]+(?:[.,][0-9]+)*%?)
    |(?P<word>[^\W\d_]\w*(?:[{_APOSTROPHE}.-]\w+)*)
    |(?P<stop>[.!?:;\n])
    |(?P<other>[^\s\w])""",
    re.VERBOSE,
)
_CONNECTORS = frozenset({"of", "the", "de", "van", "von", "der", "den", "and", "al", "bin", "la"})
_UNITS = frozenset(
    {"percent", "per", "cent", "hundred", "thousand", "million", "billion", "trillion"}
    | {"years", "year", "months", "month", "weeks", "week", "days", "day", "hours", "hour"}
    | {"minutes", "minute", "seconds", "second", "times", "degrees", "mph", "miles", "mile"}
    | {"metres", "meters", "feet", "inches", "km", "kg", "kilograms", "grams", "tonnes", "tons"}
    | {"pounds", "dollars", "euros", "pence"}
)
_SENTENCE_OPENERS = frozenset(
    {"a", "about", "after", "all", "also", "although", "an", "and", "another", "any", "are", "as"}
    | {"at", "because", "before", "both", "but", "by", "can", "could", "despite", "did", "do"}
    | {"does", "during", "each", "even", "every", "few", "for", "from", "had", "has", "have", "he"}
    | {"her", "here", "his", "how", "however", "i", "if", "in", "is", "it", "its", "last", "many"}
    | {"may", "meanwhile", "more", "most", "my", "new", "no", "not", "now", "of", "on", "once"}
    | {"one", "only", "or", "other", "our", "over", "people", "she", "since", "so", "some", "such"}
    | {"than", "that", "the", "their", "then", "there", "these", "they", "this", "those", "though"}
    | {"to", "under", "until", "was", "we", "were", "what", "when", "where", "whether", "which"}
    | {"while", "who", "why", "will", "with", "would", "yet", "you", "your"}
)
"""Words that begin a sentence far more often than a name does: never an entity by themselves."""

Entity = tuple[str, ...]


def entity_density(summary: str, article: str) -> float:
    """Distinct entities of the summary that the article has too / words of the summary (by white
    space); 0 for an empty summary.

    An entity counts where its words are an entity of the article or stand in a row inside one
    (``Charles`` of ``Prince Charles``), case aside.
    """
    words = summary.split()
    if not words:
        return 0.0
    known = find_entities(article, takes_openers=False)
    runs = {run for entity in known for run in _runs(entity)}
    return len(find_entities(summary, takes_openers=True) & runs) / len(words)


def find_entities(text: str, *, takes_openers: bool) -> set[Entity]:
    """The distinct entities of ``text``, each as its words in lower case.

    Args:
        text: Plain text.
        takes_openers: Whether a lone capitalised word that begins a sentence is one. Without, it is
            one only where it stands capitalised inside another sentence too, or in capitals.
    """
    found: set[Entity] = set()
    openers: set[Entity] = set()
    for run, is_opener in _capitalised_runs(text):
        (openers if is_opener and len(run) == 1 and not _is_acronym(run[0]) else found).add(
            tuple(word.casefold() for word in run)
        )
    inside = {word for entity in found for word in entity}
    found |= openers if takes_openers else {entity for entity in openers if entity[0] in inside}
    return found | _numbers(text)


def _capitalised_runs(text: str) -> list[tuple[list[str], bool]]:
    """The runs of capitalised words, each with whether it begins a sentence."""
    runs: list[tuple[list[str], bool]] = []
    run: list[str] = []
    pending: list[str] = []
    is_start, is_opener = True, False
    for match in _TOKEN.finditer(text):
        word = match["word"]
        is_name = bool(word) and _is_capitalised(word) and not _is_mere_opener(word, is_start)
        if is_name:
            if not run:
                is_opener = is_start
            run, pending = [*run, *pending, _without_possessive(word)], []
        elif run and word in _CONNECTORS and len(pending) < 2:
            pending.append(word)
        if run and (_is_possessive(word) if is_name else not pending):
            runs.append((run, is_opener))
            run, pending = [], []
        if match.lastgroup != "other":
            is_start = match.lastgroup == "stop"
    return [*runs, (run, is_opener)] if run else runs


def _numbers(text: str) -> set[Entity]:
    """Numbers with up to two unit words after them; figures of one digit need a unit."""
    found: set[Entity] = set()
    tokens = list(_TOKEN.finditer(text))
    for index, token in enumerate(tokens):
        number = token["number"]
        if not number:
            continue
        units: list[str] = []
        for following in tokens[index + 1 : index + 3]:
            if following[0].casefold() not in _UNITS:
                break
            units.append(following[0].casefold())
        if units or len(number) > 1:
            found.add((number, *units))
    return found


def _runs(entity: Entity) -> set[Entity]:
    size = len(entity)
    return {entity[start:end] for start in range(size) for end in range(start + 1, size + 1)}


def _is_mere_opener(word: str, is_start: bool) -> bool:
    """Whether it is a common word (``The``, ``I'm``); in capitals inside a sentence it is not."""
    stem = re.split(rf"[{_APOSTROPHE}]", word)[0]
    return stem.casefold() in _SENTENCE_OPENERS and (is_start or not _is_acronym(word))


def _is_capitalised(word: str) -> bool:
    return word[0].isupper()


def _is_acronym(word: str) -> bool:
    return len(word) > 1 and word.isupper()


def _is_possessive(word: str) -> bool:
    return _without_possessive(word) != word


def _without_possessive(word: str) -> str:
    return re.sub(rf"[{_APOSTROPHE}]s\Z", "", word)
