"""The coarse tags, the words that mean them and their ImageNet classes: this folder's data, read once.

``tags.toml`` states the rule by which classes became tags. Does not import torch, since command lines read this.
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


@dataclass(frozen=True)
class Vocabulary:
    """``tags``: names in the order of scores and tokens. ``words``: folded phrase -> the tags it means.

    ``classes``: WordNet id of an ImageNet class (n02085620) -> its tag. ``longest``: words in the longest phrase.
    """

    tags: tuple[str, ...]
    words: dict[str, tuple[str, ...]]
    classes: dict[str, str]
    longest: int

    def index(self, tag: str) -> int:
        """Return a tag's place among the scores. Raises ValueError for an unknown name."""
        return self.tags.index(tag)


@cache
def vocabulary() -> Vocabulary:
    """Return the vocabulary of this folder's tags.toml and classes.csv."""
    entries = tomllib.loads((HERE / "tags.toml").read_text(encoding="utf-8"))["tag"]
    words: dict[str, list[str]] = {}
    tags = tuple(entry["name"] for entry in entries)
    for entry in entries:
        for word in (entry["name"], *entry["words"].split(",")):
            _add(words, word, entry["name"])
    said, classes = set(words), {}
    with (HERE / "classes.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["tag"] not in tags:
                raise ValueError(f"classes.csv: {row['tag']!r} of {row['id']} is no tag of tags.toml.")
            classes[row["id"]] = row["tag"]
            for name in row["names"].split(";"):
                if fold(name) not in said:  # an amphibian is a car among the classes, and an animal to people
                    _add(words, name, row["tag"])
    longest = max(len(phrase.split()) for phrase in words)
    return Vocabulary(tags, {word: tuple(meant) for word, meant in words.items()}, classes, longest)


def _add(words: dict[str, list[str]], word: str, tag: str) -> None:
    meant = words.setdefault(fold(word), [])
    if tag not in meant:
        meant.append(tag)


def fold(text: str) -> str:
    """Lower the case, and remove accents, hyphens, apostrophes and repeated spaces: "T-Shirt" is "t shirt"."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(re.findall(r"\w+", plain.replace("'", "").replace("’", "").replace("_", " ")))
