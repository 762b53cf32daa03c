"""The rule by which the classes of ImageNet became everyday words, on a database of a few synsets."""

from pathlib import Path

import pytest

from models.errors import LimpidError
from training.data.words import derive, distances, read_synsets

LICENCE = "  1 This software and database is being provided to you\n"
SYNSETS = """00000001 05 n 01 animal 0 000 | a living thing
00000002 05 n 02 dog 0 domestic_dog 0 001 @ 00000001 n 0000 | it barks
00000003 05 n 01 hound 0 001 @ 00000002 n 0000 | it hunts
00000004 05 n 01 beagle 0 002 @ 00000003 n 0000 ~ 00000001 n 0000 | small
00000005 05 n 01 pug 0 001 @ 00000002 n 0000 | smaller
00000006 05 n 01 cat 0 001 @ 00000001 n 0000 | it does not bark
"""


@pytest.fixture
def wordnet(tmp_path: Path) -> Path:
    (tmp_path / "dict").mkdir()
    lines = SYNSETS.splitlines(keepends=True)
    (tmp_path / "dict" / "data.noun1").write_text(LICENCE + "".join(lines[:3]))
    (tmp_path / "dict" / "data.noun2").write_text("".join(lines[3:]))
    return tmp_path / "dict"


def test_hypernyms_are_read_from_a_database_in_parts(wordnet: Path) -> None:
    synsets = read_synsets(wordnet)
    assert synsets["00000002"] == (("dog", "domestic_dog"), ("00000001",))
    assert distances("00000004", synsets) == {"00000004": 0, "00000003": 1, "00000002": 2, "00000001": 3}


def test_a_class_has_the_nearest_word_of_its_own_tag(wordnet: Path, tmp_path: Path) -> None:
    words = "word,tag,wordnet\npet,animal,domestic dog\nhunting dog,animal,hound\nlap dog,animal,\n"
    (tmp_path / "words.csv").write_text(words + 'tame cat,"cats, all",dog\n')
    classes = tmp_path / "classes.csv"
    rows = ["n00000004,beagle,animal,0,", "n00000005,pug; small dog,animal,1,", "n00000001,animal,animal,,"]
    rows += ['n00000006,cat,"cats, all",2,', "n00000006,cat,animal,3,"]
    classes.write_text("\n".join(["id,names,tag,index,word", *rows]) + "\n")
    assert derive(wordnet, classes, tmp_path / "words.csv") == 5
    found = classes.read_text().splitlines()[1:]
    assert found[:2] == ["n00000004,beagle,animal,0,hunting dog", "n00000005,pug; small dog,animal,1,pet"]
    assert found[2] == "n00000001,animal,animal,,"  # a parent of several words has none
    assert found[3:] == ['n00000006,cat,"cats, all",2,tame cat', "n00000006,cat,animal,3,lap dog"]


def test_another_database_or_none_is_refused(wordnet: Path, tmp_path: Path) -> None:
    (tmp_path / "words.csv").write_text("word,tag,wordnet\npet,animal,dog\n")
    (tmp_path / "classes.csv").write_text("id,names,tag,index,word\nn00000009,yeti,animal,0,\n")
    with pytest.raises(LimpidError, match="lacks n00000009 and 0 more"):
        derive(wordnet, tmp_path / "classes.csv", tmp_path / "words.csv")
    with pytest.raises(LimpidError, match="holds no data.noun"):
        read_synsets(tmp_path)
