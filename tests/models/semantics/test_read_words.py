"""From typed words to tags: what people may type, and what they get."""

import pytest

from models.semantics.vocabulary import MAX_TEXT_LENGTH, fold, read_words, vocabulary


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("dog", ("dog",)),
        ("A DOG and a Cat, on Grass", ("dog", "cat", "nature")),
        ("puppies; mice|polar_bear/T-Shirt", ("dog", "small mammal", "electronics", "monkey or bear", "person")),
        ("hot dog", ("dish of food",)),  # the longest phrase, no dog
        ("hot, dog", ("dog",)),
        ("a photo of two Labrador retrievers", ("retriever",)),
        ("geese, wolves and foxes", ("duck or goose", "wolf", "fox")),
        ("beagle", ("hound",)),
        ("children\nwomen", ("person",)),
        ("café? no: coffee", ("dish of food",)),
    ],
)
def test_synonyms_in_any_case_and_with_any_separator(text, tags):
    assert read_words(text).tags == tags


def test_every_tag_and_every_word_is_understood():
    known = vocabulary()
    for tag in known.tags:
        assert read_words(tag.upper()).tags == (tag,)
    assert read_words(", ".join(known.tags)).tags == known.tags
    for word in known.words:
        assert read_words(word).tags == known.phrases[fold(word)]
    missed = [word for word, tags in known.phrases.items() if not set(tags) & set(read_words(word).tags)]
    assert not missed


def test_unknown_words_are_named_once_and_as_typed():
    reading = read_words("Zorp the dog, zorp and Blargh")
    assert reading.tags == ("dog",) and reading.unknown == ("Zorp", "Blargh")
    assert any("“Zorp”, “Blargh”" in note for note in reading.notes)


def test_only_unknown_words_and_another_script_say_that_nothing_is_guided():
    for text in ("zorp blargh", "собака", "狗、猫", "كلب"):
        reading = read_words(text)
        assert reading.tags == () and reading.unknown
        assert "No word of the guidance text is a tag: nothing was guided by it." in reading.notes


@pytest.mark.parametrize("text", ["", "  \n", " ,;, "])
def test_an_empty_text_says_so(text):
    reading = read_words(text)
    assert reading.tags == reading.unknown == () and len(reading.notes) == 1
    assert "nothing was guided" in reading.notes[0]


def test_of_a_long_text_the_beginning_counts_and_notes_stay_short():
    reading = read_words("dog " + "x" * 4996)
    assert reading.tags == ("dog",) and f"first {MAX_TEXT_LENGTH:,}" in reading.notes[0]
    assert all(len(note) < 500 for note in reading.notes)
    reading = read_words(" ".join(f"word{n}" for n in range(700)))
    assert all(len(note) < 500 for note in reading.notes) and "more" in " ".join(reading.notes)


def test_what_is_not_there_is_left_out_and_named():
    reading = read_words("dog, men without hats, cat")
    assert reading.tags == ("dog", "cat") and not reading.unknown
    assert "“men without hats” says what is not there" in reading.notes[0]
    assert read_words("no dog").tags == ()
