"""The words for what a photo shows, in two levels, their ImageNet classes, and the reading of typed text as words.

28 coarse tags are the upper level (``tags.toml`` states the rule by which classes became tags), everyday words the
lower one (``words.csv``; `training.data.words` states theirs); ``classes.csv`` has both for each class. Does not import
torch, since command lines read this.
"""

from __future__ import annotations

import csv
import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import inflect

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
    """The tags and words, and what means them.

    Attributes:
        tags: Names of the coarse tags, in the order of scores and tokens.
        words: Everyday word -> its coarse tag.
        phrases: Folded phrase -> the words and tags it means.
        classes: WordNet id of an ImageNet class (n02085620) -> its tag.
        class_words: The same -> its word; a class that is the parent of several words has none.
        outputs: The same -> its output of the classifier; a parent of other classes has none.
        longest: Words in the longest phrase.
    """

    tags: tuple[str, ...]
    words: dict[str, str]
    phrases: dict[str, tuple[str, ...]]
    classes: dict[str, str]
    class_words: dict[str, str]
    outputs: dict[str, int]
    longest: int

    def members(self, name: str) -> tuple[int, ...]:
        """Return the classifier's outputs of a word or a tag, whose probabilities add up to its own.

        Raises KeyError for another name.
        """
        if name not in self.words and name not in self.tags:
            raise KeyError(name)
        level = self.class_words if name in self.words else self.classes
        return tuple(output for id_, output in self.outputs.items() if level.get(id_) == name)


@cache
def vocabulary() -> Vocabulary:
    """Return the vocabulary of this folder's tags.toml, words.csv and classes.csv."""
    entries = tomllib.loads((HERE / "tags.toml").read_text(encoding="utf-8"))["tag"]
    rows, everyday = (_rows(HERE / name) for name in ("classes.csv", "words.csv"))
    tags, words = tuple(entry["name"] for entry in entries), {row["word"]: row["tag"] for row in everyday}
    # What people say comes first: an amphibian is a car among the classes, and an animal to people.
    phrases: dict[str, dict[str, None]] = {fold(tag): {tag: None} for tag in tags}
    for row in everyday:
        for part in (row["word"], *row["word"].split(" or ")):
            if fold(part) not in map(fold, tags):
                phrases.setdefault(fold(part), {})[row["word"]] = None
    _add(phrases, ((word, entry["name"]) for entry in entries for word in entry["words"].split(",")))
    named = [(name, row["word"]) for row in everyday for name in row["wordnet"].split(";")]
    _add(phrases, [*named, *((name, row["word"] or row["tag"]) for row in rows for name in row["names"].split(";"))])
    return Vocabulary(
        tags,
        words,
        {phrase: tuple(meant) for phrase, meant in phrases.items()},
        {row["id"]: row["tag"] for row in rows},
        {row["id"]: row["word"] for row in rows if row["word"]},
        {row["id"]: int(row["index"]) for row in rows if row["index"]},
        max(len(phrase.split()) for phrase in phrases),
    )


def _add(phrases: dict[str, dict[str, None]], pairs: Iterable[tuple[str, str]]) -> None:
    """Add what each phrase means, but for phrases that mean something already."""
    said = set(phrases)
    for phrase, meant in pairs:
        if (folded := fold(phrase)) and folded not in said:
            phrases.setdefault(folded, {})[meant] = None


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def fold(text: str) -> str:
    """Lower the case, and remove accents, hyphens, apostrophes and repeated spaces: "T-Shirt" is "t shirt"."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(re.findall(r"\w+", plain.replace("'", "").replace("’", "").replace("_", " ")))


@dataclass(frozen=True)
class Reading:
    """What a text means.

    ``tags``: words and coarse tags in the order of first mention; ``unknown``: words as typed; ``notes`` for users.
    """

    tags: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_words(text: str) -> Reading:
    """Return the words and tags that a text means.

    Words are separated by spaces, commas or other separators; the longest known phrase counts ("hot dog" is no dog);
    plurals, accents and case do not matter. A phrase with a negation ("no dog") is left out as a whole. Of a text
    longer than ``MAX_TEXT_LENGTH`` characters the beginning is read. ``notes`` name what was not used.
    """
    known, notes = vocabulary(), []
    asked: dict[str, None] = {}
    unknown: dict[str, str] = {}
    if len(text) > MAX_TEXT_LENGTH:
        notes.append(f"Of the {len(text):,} characters of the guidance text, the first {MAX_TEXT_LENGTH:,} were read.")
    text = text[:MAX_TEXT_LENGTH]
    for name in (tag for tag in known.tags if SEPARATORS.search(tag)):  # "bag, hat or shoe" is one tag
        text = re.sub(re.escape(name), fold(name), text, flags=re.IGNORECASE)
    for phrase in SEPARATORS.split(text):
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
    """Return the number of words in the longest known phrase at the start, singular or plural, and what it means."""
    for count in range(len(words), 0, -1):
        phrase = " ".join(words[:count])
        for form in (phrase, _singular(phrase)):
            if form in known.phrases:
                return count, known.phrases[form]
    return 1, ()


@cache
def _english() -> inflect.engine:
    import inflect  # takes a while, and most runs read no words

    return inflect.engine()


def _singular(phrase: str) -> str:
    """Return the singular of a folded English phrase; one that is no plural stays."""
    return str(_english().singular_noun(phrase) or phrase)
