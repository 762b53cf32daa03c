"""The coarse tags and their words, as data."""

from collections import Counter

from models.semantics.vocabulary import fold, vocabulary


def test_each_of_the_28_tags_has_classes_and_words() -> None:
    known = vocabulary()
    assert len(set(known.tags)) == len(known.tags) == 28
    classes = Counter(known.classes.values())
    assert set(classes) == set(known.tags)
    assert min(classes.values()) >= 5
    assert all(set(meant) <= set(known.tags) and meant for meant in known.words.values())


def test_every_imagenet_class_is_mapped() -> None:
    known = vocabulary()
    assert len(known.classes) == 1050  # 1,000 classes, and 50 of their parents that the photos name
    assert known.classes["n02088364"] == "dog" and known.words["beagle"] == ("dog",)
    assert known.classes["n03126707"] != known.classes["n02012849"]  # the two cranes
    assert known.words["crane"] == ("bird", "building or street")


def test_what_people_call_a_thing_comes_before_a_class_of_that_name() -> None:
    known = vocabulary()
    assert known.words["amphibian"] == ("reptile or frog",)
    assert known.words["mouse"] == ("small mammal", "electronics")


def test_words_are_folded() -> None:
    assert fold("  T-Shirt_x ") == "t shirt x"
    assert fold("Café") == "cafe" and fold("carpenter's kit") == "carpenters kit"
    assert all(fold(word) == word for word in vocabulary().words)
