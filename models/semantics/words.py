"""Tags that a typed text or a caption means: any case, several at once; unknown words are reported."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.semantics.vocabulary import Vocabulary, fold, vocabulary

MAX_TEXT_LENGTH = 2000  # characters of a text that are read
MAX_UNKNOWN_NAMED = 8  # unknown words that a note names
_SEPARATORS = re.compile(r"[,;/|\n\r\t·•+&#。、，；:!?()\[\]{}\"“”…]+|\.(?=\s|$)")
_NOT = {"no", "not", "without", "non", "never", "except"}
# What says nothing of what is shown. A negation holds up to the next separator or one of _ENDS.
_ENDS = {"but", "and", "or", "only", "just"}
_FILLERS = _ENDS | set(
    "a an the of in on at with by for from to is are was be it its this that these those there here some any my your "  # noqa: SIM905
    "our his her their i we you very really also near next behind front under over into through up down off out "
    "one two three four five six seven eight nine ten several many few "
    "photo photograph picture image shot view scene closeup close showing shows shown".split()
)
_IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "mice": "mouse", "geese": "goose", "oxen": "ox",
    "feet": "foot", "teeth": "tooth", "wolves": "wolf", "leaves": "leaf", "knives": "knife", "shelves": "shelf",
    "loaves": "loaf", "calves": "calf", "fungi": "fungus", "hooves": "hoof", "scarves": "scarf",
}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """The tags of a text.

    Attributes:
        tags: Requested tags, in the order of first mention.
        excluded: Tags said not to be shown.
        unknown: Words that mean no tag, as typed.
        notes: Sentences for the user and the run record.
    """

    tags: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_words(text: str) -> Reading:
    """Return the tags that a text means.

    Words are separated by spaces, commas or other separators; the longest known phrase counts ("hot dog" is no dog);
    plurals, accents and case do not matter; "no dog", "without people" and "-dog" exclude. Of a text longer than
    ``MAX_TEXT_LENGTH`` characters the beginning is read. A tag both requested and excluded is left out. Every text has
    an answer; ``notes`` name what was not understood.
    """
    known = vocabulary()
    asked: dict[str, None] = {}
    excluded: dict[str, None] = {}
    unknown: dict[str, str] = {}
    notes = []
    if len(text) > MAX_TEXT_LENGTH:
        notes.append(f"Of the {len(text):,} characters of the guidance text, the first {MAX_TEXT_LENGTH:,} were read.")
        text = text[:MAX_TEXT_LENGTH]
    for segment in _SEPARATORS.split(text):
        _read_segment(segment, known, asked, excluded, unknown)
    both = [tag for tag in asked if tag in excluded]
    if both:
        excluded = {tag: None for tag in excluded if tag not in both}
        notes.append(f"The guidance text both asks for and excludes {_list(both)}: left out, since that contradicts.")
    tags = tuple(tag for tag in asked if tag not in both)
    if unknown:
        named = list(unknown.values())[:MAX_UNKNOWN_NAMED]
        shown = [f"“{word if len(word) <= 30 else word[:29] + '…'}”" for word in named]
        more = f" and {len(unknown) - MAX_UNKNOWN_NAMED} more" if len(unknown) > MAX_UNKNOWN_NAMED else ""
        notes.append(f"Unknown to the guide (everyday English words), and not used: {', '.join(shown)}{more}.")
    if not tags and not text.strip():
        notes.append("The guidance text is empty: nothing was guided by it.")
    elif not tags and excluded:
        notes.append("The guidance text only says what is not there: nothing was guided by it.")
    elif not tags:
        notes.append("No word of the guidance text is a tag: nothing was guided by it.")
    return Reading(tags, tuple(excluded), tuple(unknown.values()), tuple(notes))


def _read_segment(
    segment: str, known: Vocabulary, asked: dict[str, None], excluded: dict[str, None], unknown: dict[str, str]
) -> None:
    words = [(fold(word), word) for word in _split(segment)]
    negated, at = False, 0
    while at < len(words):
        word, typed = words[at]
        found = _longest(words, at, known)
        if found is not None:
            count, tags = found
            (excluded if negated or typed.startswith("-") else asked).update(dict.fromkeys(tags))
            at += count
            continue
        at += 1
        if word in _NOT:
            negated = True
        elif word in _ENDS:
            negated = False
        elif word and word not in _FILLERS and not word.isdigit():
            unknown.setdefault(word, typed.strip("-'’"))


def _split(segment: str) -> list[str]:
    """Words as typed; "polar-bear" and "polar_bear" are two, a leading "-" stays on its word."""
    return re.findall(r"(?:(?<!\S)-)?[^\s\-_]+", segment)


def _longest(words: list[tuple[str, str]], at: int, known: Vocabulary) -> tuple[int, tuple[str, ...]] | None:
    """Return the number of words from ``at`` on in the longest known phrase, and its tags."""
    for count in range(min(known.longest, len(words) - at), 0, -1):
        phrase = " ".join(word for word, _ in words[at : at + count])
        for form in _singulars(phrase):
            if form in known.words:
                return count, known.words[form]
    return None


def _singulars(phrase: str) -> list[str]:
    """Return the phrase, and the singulars that its last word may be the plural of."""
    head, _, last = phrase.rpartition(" ")
    forms = [last, _IRREGULAR.get(last, last)]
    if last.endswith("ies"):
        forms.append(last[:-3] + "y")
    if last.endswith("es"):
        forms.append(last[:-2])
    if last.endswith("s"):
        forms.append(last[:-1])
    return [f"{head} {form}".strip() for form in dict.fromkeys(forms)]


def _list(tags: list[str]) -> str:
    return ", ".join(f"“{tag}”" for tag in tags)
