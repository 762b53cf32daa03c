"""The coarse tags, the words that mean them, their ImageNet classes, and the reading of typed text as tags.

The data are in this folder; ``tags.toml`` states the rule by which classes became tags. Does not import torch, since
command lines read this.
"""

from __future__ import annotations

import csv
import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
MAX_TEXT_LENGTH = 2000  # characters of a text that are read
MAX_UNKNOWN_NAMED = 8  # unknown words that a note names
SEPARATORS = re.compile(r"[,;/|\n\r\t·•+&#。、，；:!?()\[\]{}\"“”…]+|\.(?=\s|$)")
NEGATIONS = {"no", "not", "without", "non", "never", "except"}
FILLERS = set(
    "but and or only just a an the of in on at with by for from to is are was be it its this that these those there "  # noqa: SIM905
    "here some any my your our his her their i we you very really also near next behind front under over into through "
    "up down off out one two three four five six seven eight nine ten several many few photo photograph picture image "
    "shot view scene closeup close showing shows shown".split()
)


@dataclass(frozen=True)
class Vocabulary:
    """The tags and what means them.

    Attributes:
        tags: Names in the order of scores and tokens.
        words: Folded phrase -> the tags it means.
        classes: WordNet id of an ImageNet class (n02085620) -> its tag.
        longest: Words in the longest phrase.
    """

    tags: tuple[str, ...]
    words: dict[str, tuple[str, ...]]
    classes: dict[str, str]
    longest: int


@cache
def vocabulary() -> Vocabulary:
    """Return the vocabulary of this folder's tags.toml and classes.csv."""
    entries = tomllib.loads((HERE / "tags.toml").read_text(encoding="utf-8"))["tag"]
    with (HERE / "classes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    words: dict[str, dict[str, None]] = {}
    for entry in entries:
        for word in (entry["name"], *entry["words"].split(",")):
            words.setdefault(fold(word), {})[entry["name"]] = None
    everyday = set(words)
    for row in rows:
        for name in row["names"].split(";"):
            if fold(name) not in everyday:  # an amphibian is a car among the classes, and an animal to people
                words.setdefault(fold(name), {})[row["tag"]] = None
    tags, classes = tuple(entry["name"] for entry in entries), {row["id"]: row["tag"] for row in rows}
    longest = max(len(phrase.split()) for phrase in words)
    return Vocabulary(tags, {word: tuple(meant) for word, meant in words.items()}, classes, longest)


def fold(text: str) -> str:
    """Lower the case, and remove accents, hyphens, apostrophes and repeated spaces: "T-Shirt" is "t shirt"."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(re.findall(r"\w+", plain.replace("'", "").replace("’", "").replace("_", " ")))


@dataclass(frozen=True)
class Reading:
    """The ``tags`` of a text in the order of first mention, its ``unknown`` words as typed, and ``notes`` for users."""

    tags: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_words(text: str) -> Reading:
    """Return the tags that a text means.

    Words are separated by spaces, commas or other separators; the longest known phrase counts ("hot dog" is no dog);
    plurals, accents and case do not matter. A phrase with a negation ("no dog") is left out as a whole. Of a text
    longer than ``MAX_TEXT_LENGTH`` characters the beginning is read. ``notes`` name what was not used.
    """
    known, notes = vocabulary(), []
    asked: dict[str, None] = {}
    unknown: dict[str, str] = {}
    if len(text) > MAX_TEXT_LENGTH:
        notes.append(f"Of the {len(text):,} characters of the guidance text, the first {MAX_TEXT_LENGTH:,} were read.")
    for phrase in SEPARATORS.split(text[:MAX_TEXT_LENGTH]):
        typed = [word for word in re.split(r"[\s\-_]+", phrase) if fold(word)]
        words = [fold(word) for word in typed]
        if NEGATIONS & set(words) and len(words) > 1:
            notes.append(f"“{_short(phrase)}” says what is not there, and was left out: name what the photo shows.")
            continue
        at = 0
        while at < len(words):
            count, meant = _longest(words[at : at + known.longest], known)
            asked.update(dict.fromkeys(meant))
            if not meant and words[at] not in FILLERS | NEGATIONS and not words[at].isdigit():
                unknown.setdefault(words[at], typed[at].strip("'’"))
            at += count
    if unknown:
        shown = ", ".join(f"“{_short(word)}”" for word in list(unknown.values())[:MAX_UNKNOWN_NAMED])
        more = f" and {len(unknown) - MAX_UNKNOWN_NAMED} more" if len(unknown) > MAX_UNKNOWN_NAMED else ""
        notes.append(f"Unknown to the guide (everyday English words), and not used: {shown}{more}.")
    if not asked:
        why = "No word of the guidance text is a tag" if text.strip() else "The guidance text is empty"
        notes.append(f"{why}: nothing was guided by it.")
    return Reading(tuple(asked), tuple(unknown.values()), tuple(notes))


def _short(text: str) -> str:
    return text if len(text := text.strip()) <= 30 else text[:29] + "…"


def _longest(words: list[str], known: Vocabulary) -> tuple[int, tuple[str, ...]]:
    """Return the number of words in the longest known phrase at the start, singular or plural, and its tags."""
    for count in range(len(words), 0, -1):
        phrase = " ".join(words[:count])
        for plural, singular in (("", ""), ("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", "")):
            form = phrase.removesuffix(plural) + singular if phrase.endswith(plural) else ""
            if form in known.words:
                return count, known.words[form]
    return 1, ()
