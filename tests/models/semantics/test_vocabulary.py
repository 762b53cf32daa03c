"""The tags and words, as data."""

from collections import Counter

import pytest

from models.semantics.vocabulary import fold, vocabulary


def test_each_of_the_28_tags_has_classes_and_words() -> None:
    known = vocabulary()
    assert len(set(known.tags)) == len(known.tags) == 28
    classes = Counter(known.classes.values())
    assert set(classes) == set(known.tags) == set(known.words.values())
    assert min(classes.values()) >= 5
    names = {*known.tags, *known.words}
    assert all(set(meant) <= names and meant for meant in known.phrases.values())


def test_every_imagenet_class_has_a_tag_a_word_and_an_output() -> None:
    known = vocabulary()
    assert len(known.classes) == 1050  # 1,000 classes, and 50 of their parents that the photos name
    assert sorted(known.outputs.values()) == list(range(1000))
    assert [id_ for id_, _ in sorted(known.outputs.items(), key=lambda item: item[1])] == sorted(known.outputs)
    assert set(known.outputs) <= set(known.class_words)
    assert known.classes["n02088364"] == "dog" and known.class_words["n02088364"] == "hound"
    assert known.classes["n03126707"] != known.classes["n02012849"]  # the two cranes
    assert known.phrases["crane"] == ("tower or mast", "wading bird")


def test_words_are_the_lower_level_of_tags() -> None:
    known = vocabulary()
    assert 140 <= len(known.words) <= 200
    assert all(known.words[word] == known.classes[id_] for id_, word in known.class_words.items())
    for tag in known.tags:
        parts = [known.members(word) for word, of in known.words.items() if of == tag]
        assert all(parts) and sorted(sum(parts, ())) == sorted(known.members(tag))
    assert len(known.members("terrier")) == 23 and known.members("terrier")[0] == known.outputs["n02093256"]
    with pytest.raises(KeyError):
        known.members("unheard of")


def test_what_people_call_a_thing_comes_before_a_class_of_that_name() -> None:
    known = vocabulary()
    assert known.phrases["amphibian"] == ("reptile or frog",)
    assert known.phrases["mouse"] == ("small mammal", "electronics")
    assert known.phrases["goose"] == ("duck or goose",) and known.phrases["beagle"] == ("hound",)


def test_words_are_folded() -> None:
    assert fold("  T-Shirt_x ") == "t shirt x"
    assert fold("Café") == "cafe" and fold("carpenter's kit") == "carpenters kit"
    assert all(fold(word) == word for word in vocabulary().phrases)
