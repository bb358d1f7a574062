from __future__ import annotations

import json

import pytest

from yoi_runtime.cli.terminal_text import neutral, neutral_json, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 日本語, é, 🙂", "plain text, 日本語, é, 🙂"),
        ("two\nlines", "two\nlines"),
        ("two\r\nlines", "two\nlines"),
        ("a\tb", "a    b"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("50%\r100%", "50%␍100%"),
        ("\x00\x7f", "␀␡"),
        ("\x9b31m", "\\x9b31m"),
        ("\x85", "\\x85"),
        ("pay \u202eeuro", "pay \\u202eeuro"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\ud800", "\\ud800"),
        ("👩\u200d👧", "👩\u200d👧"),
    ],
)
def test_controls_become_visible_and_text_stays(text: str, shown: str):
    assert neutral(text) == shown


def test_no_control_but_the_newline_survives_whatever_the_character():
    every = "".join(map(chr, range(0x3000)))
    survivors = [letter for letter in neutral(every) if not letter.isprintable()]
    assert "\n" in survivors
    # Spaces of other widths and unassigned letters are not printable to Python and move nothing.
    assert not {chr(number) for number in (*range(10), *range(11, 32), *range(127, 160), 0x2028, 0x202E)} & set(
        survivors
    )


def test_one_line_is_one_line_and_says_that_it_was_cut():
    assert one_line("a\nb\x1b") == "a⏎b␛"
    assert one_line("abcdef", 3) == "abc…"
    assert one_line("abc", 3) == "abc"


@pytest.mark.parametrize("text", ["a\x9bb", "\x7f", "\u202e", "\u2028", "é日本"])
def test_json_for_a_terminal_has_the_same_value_and_no_control(text: str):
    line = json.dumps({"text": text}, ensure_ascii=False).encode()
    shown = neutral_json(line)
    assert json.loads(shown) == {"text": text}
    assert neutral(shown.decode()) == shown.decode()


def test_json_of_several_lines_stays_json():
    line = b'{"a":\n"\xc2\x9b"}'
    assert json.loads(neutral_json(line)) == {"a": "\x9b"}
