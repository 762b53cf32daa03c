"""Which photo shows what, by its name, and the split by class."""

from collections import Counter
from pathlib import Path

from models.semantics.vocabulary import vocabulary
from training.data.semantic import class_of, split_of, splits, tag_of


def test_the_class_is_in_the_file_name_or_the_folder() -> None:
    assert class_of("n02088364_beagle.avif") == "n02088364"
    assert class_of(Path("n02084071_1215_dog.avif")) == "n02084071"
    assert class_of("photos/n02088364/ILSVRC2012_val_00000001.JPEG") == "n02088364"
    assert class_of("holiday.jpg") is None and class_of("n020883641_x.jpg") is None


def test_a_photo_has_the_tag_of_its_class() -> None:
    assert tag_of("n02088364_beagle.avif") == "dog"
    assert tag_of("n03126707_crane.avif") == "building or street"
    assert tag_of("holiday.jpg") is None and tag_of("n99999999_unheard_of.jpg") is None


def test_photos_of_one_class_are_on_one_side_whatever_they_are_called() -> None:
    assert split_of("n02509815_red_panda.avif") == split_of("n02509815_17_lesser_panda.png")
    assert split_of("holiday.jpg") is None


def test_every_tag_is_on_every_side_and_the_shares_are_kept() -> None:
    classes = vocabulary().classes
    sides = splits(classes)
    assert set(sides) == set(classes)
    seen = Counter((tag, sides[name]) for name, tag in classes.items())
    assert all(seen[tag, side] for tag in vocabulary().tags for side in ("train", "validation", "test"))
    share = Counter(sides.values())
    assert 0.2 <= share["test"] / len(classes) < 0.24 and 0.1 <= share["validation"] / len(classes) < 0.13


def test_the_side_of_a_class_stays_when_other_tags_change() -> None:
    classes = dict(vocabulary().classes)
    before = splits(classes)
    dogs = {name: tag for name, tag in classes.items() if tag == "dog"}
    assert splits(dogs) == {name: before[name] for name in dogs}
