"""Which photo shows what: the class in a file's name, its coarse tag, and the split by class.

The mapping of classes to tags and its rule are data: ``models/semantics/classes.csv`` and ``tags.toml``.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from math import ceil
from pathlib import PurePath
from typing import Literal

from models.semantics.vocabulary import vocabulary

Split = Literal["train", "validation", "test"]
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1  # of each tag's classes
_CLASS = re.compile(r"(?<![a-z0-9])n\d{8}(?!\d)")


def class_of(file: str | PurePath) -> str | None:
    """Find the ImageNet class id (n02085620) in a file's name, or else in its folder's; None where neither has one."""
    path = PurePath(file)
    found = _CLASS.search(path.name) or _CLASS.search(path.parent.name)
    return found[0] if found else None


def tag_of(file: str | PurePath) -> str | None:
    """Return the coarse tag of a photo by the class in its name; None where there is no class or it has no tag."""
    name = class_of(file)
    return None if name is None else vocabulary().classes.get(name)


def split_of(file: str | PurePath) -> Split | None:
    """Return the side of a photo: the photos of one class are all on one side. None where ``tag_of`` gives none.

    Of each tag's classes the fifth with the smallest hashes is the test set, the next tenth validation: every tag is
    in each, and no file of another run or machine changes it.
    """
    name = class_of(file)
    return None if name is None else splits(vocabulary().classes).get(name)


def splits(classes: Mapping[str, str]) -> Mapping[str, Split]:
    """Return the side of each class id, from its tag and its hash."""
    return _splits(tuple(sorted(classes.items())))


@cache
def _splits(classes: tuple[tuple[str, str], ...]) -> dict[str, Split]:
    sides: dict[str, Split] = {}
    for tag in {tag for _, tag in classes}:
        mine = sorted((name for name, of in classes if of == tag), key=lambda n: hashlib.sha256(n.encode()).digest())
        test, validation = ceil(TEST_SHARE * len(mine)), ceil(VALIDATION_SHARE * len(mine))
        for place, name in enumerate(mine):
            sides[name] = "test" if place < test else "validation" if place < test + validation else "train"
    return sides
