"""The editor for everybody: axe-core finds nothing serious, keys reach all of it, it fits, it speaks the language."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interface.static_files import STATIC
from tests.interface import files
from tests.interface.browsing import Editor

expect = pytest.importorskip("playwright.sync_api").expect
SIZES = ((1440, 900), (1024, 768), (390, 844))
WORDS = {path.stem: json.loads(path.read_text()) for path in sorted((STATIC / "words").glob("*.json"))}


def findings(editor: Editor) -> list[str]:
    """What axe-core calls serious or critical on the page as it is."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(editor.page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_axe_finds_nothing_serious_in_both_themes_at_three_sizes(
    open_editor: Callable[..., Editor], tmp_path: Path
) -> None:
    editor = open_editor()
    expect(editor.find("#footer")).to_contain_text("Limpid 0")
    editor.page.add_style_tag(content="* { transition: none !important; }")  # colours in between are no findings
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        for width, height in SIZES:
            editor.page.set_viewport_size({"width": width, "height": height})
            for theme in ("light", "dark"):
                editor.page.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
                if told := findings(editor):
                    found[f"{name} {width} {theme}"] = told
        editor.page.set_viewport_size({"width": 1440, "height": 900})

    look("empty")
    editor.drop(files.broken("text", tmp_path))
    editor.wait_for("failed")
    look("failed")
    editor.clear()
    editor.restore(files.photo(tmp_path, size=(300, 200)), files.photo(tmp_path, "b.png"))
    editor.find(".lp-advanced > summary").click()
    editor.find(".lp-guide > summary").first.click()
    editor.find(".lp-paint").click()
    editor.stroke([(0.4, 0.5), (0.6, 0.5)])
    look("painted")
    editor.page.get_by_role("link", name="Models").click()
    expect(editor.find(".listing").first).to_contain_text("cc0-1.0")
    look("models")
    assert not found, json.dumps(found, indent=1)


@pytest.mark.parametrize("width, height", SIZES)
def test_everything_needed_is_on_the_first_screen(width: int, height: int, editor: Editor, tmp_path: Path) -> None:
    editor.page.set_viewport_size({"width": width, "height": height})
    try:
        for selector in (".lp-choose", ".lp-example >> nth=0", ".lp-stays", ".lp-modes a >> nth=2", ".lp-theme"):
            inside(editor, selector, width, height)
        editor.restore(files.photo(tmp_path, size=(300, 200)))
        small = width < 820
        main = ".lp-bottom-main" if small else ".lp-download"
        for selector in (main, ".lp-divider", ".lp-original", '[data-zoom="2"]', ".lp-thumb >> nth=0", ".lp-facts"):
            inside(editor, selector, width, height)
        if small:
            expect(editor.find(main)).to_have_text("Download")
            editor.find(".lp-open-rail").click()
            inside(editor, "#lp-strength", width, height)
            editor.find(".lp-open-rail").click()
            expect(editor.find("#lp-strength")).to_be_hidden()
        else:
            stage = editor.find(".lp-stage").bounding_box()
            assert stage and stage["width"] > 0.7 * width
        assert editor.page.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        editor.page.set_viewport_size({"width": 1440, "height": 900})


def inside(editor: Editor, selector: str, width: int, height: int) -> None:
    box = editor.find(selector).bounding_box()
    assert box, selector
    assert box["x"] >= 0 and box["y"] >= 0 and box["x"] + box["width"] <= width + 1, (selector, box)
    assert box["y"] + box["height"] <= height, (selector, box)


def test_the_theme_button_keeps_its_choice(open_editor: Callable[..., Editor]) -> None:
    editor = open_editor(color_scheme="light")

    def ground() -> int:
        return int(re.findall(r"\d+", editor.page.evaluate("getComputedStyle(document.body).backgroundColor"))[0])

    assert ground() > 200
    editor.find(".lp-theme").click()
    assert ground() < 60
    editor.page.reload()
    editor.find(".lp-ready").wait_for()
    assert ground() < 60


def test_every_control_is_reached_by_the_keyboard_and_shows_it(editor: Editor, tmp_path: Path) -> None:
    editor.restore(files.photo(tmp_path, size=(300, 200)))
    editor.find(".lp-brand").focus()
    reached, unmarked = set(), []
    for _ in range(40):
        editor.page.keyboard.press("Tab")
        told = editor.page.evaluate(
            "() => { const one = document.activeElement; const style = getComputedStyle(one);"
            " return {name: one.className || one.id || one.tagName, marked: style.outlineStyle !== 'none',"
            " own: Boolean(one.closest('.lp'))}; }"
        )
        if told["own"]:
            reached.add(told["name"].split(" ")[0])
            unmarked += [] if told["marked"] else [told["name"]]
    wanted = {"lp-theme", "lp-api", "lp-divider", "lp-original", "lp-thumb", "lp-more", "lp-strength", "lp-paint"}
    wanted |= {"lp-format", "lp-download"}
    assert wanted <= reached and not unmarked, (wanted - reached, unmarked)


def test_states_are_told_to_screen_readers(editor: Editor, tmp_path: Path) -> None:
    live = editor.find(".lp-live")
    assert live.get_attribute("aria-live") == "polite"
    editor.restore(files.photo(tmp_path, "cat.png", (300, 200)))
    expect(live).to_contain_text(re.compile("cat.png: Restored|Almost nothing"))


@pytest.mark.parametrize("language", sorted({*WORDS} - {"en"}))
def test_a_dictionary_has_the_keys_and_the_places_for_values_of_the_english_one(language: str) -> None:
    assert set(WORDS[language]) == set(WORDS["en"])
    for key, words in WORDS[language].items():
        assert sorted(re.findall(r"\{\w+\}", words)) == sorted(re.findall(r"\{\w+\}", WORDS["en"][key])), key
        assert bool(words) == bool(WORDS["en"][key]), key


def test_the_script_uses_the_words_there_are() -> None:
    script = "".join(path.read_text() for path in STATIC.glob("*.js"))
    used = set(re.findall(r"\bt\('([\w.]+)'", script))
    used |= set(re.findall(r'data-(?:t|label|title)="(\w+)"', (STATIC / "editor.html").read_text()))
    assert used <= set(WORDS["en"]), used - set(WORDS["en"])


@pytest.mark.parametrize(
    "locale, word", [("de-AT", "Fotos auswählen"), ("ja-JP", "写真を選択"), ("fr-FR", "Choose photos")]
)
def test_the_page_speaks_the_browsers_language(locale: str, word: str, open_editor: Callable[..., Editor]) -> None:
    editor = open_editor(locale=locale)
    expect(editor.find(".lp-choose")).to_have_text(word)
    told: Any = editor.find(".lp").get_attribute("lang")
    assert told == (locale[:2] if locale[:2] in WORDS else "en")


def test_no_word_of_the_laboratory_is_on_the_page() -> None:
    for words in WORDS["en"].values():
        assert not re.search(r"dereflection|prerestored|pre-reconstruction|captioner|\bnative\b", words, re.IGNORECASE)
