from __future__ import annotations

import pytest

from yoi_runtime.cli import help_texts

TEXTS = {name: getattr(help_texts, name) for name in help_texts.__all__}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_text_can_be_shown_as_it_is(name: str):
    text = TEXTS[name]
    assert text == text.strip() + ("\n" if text.endswith("\n") else "")
    # \b marks a paragraph whose lines stay, and stands alone on its line.
    assert all(line == "\b" for line in text.split("\n") if "\b" in line)
    assert "\\b" not in text


@pytest.mark.parametrize("name", ["SERVE", "RUN", "EMIT", "TAIL", "CONFORMANCE", "DEMO"])
def test_a_commands_first_paragraph_is_a_line_for_the_list_of_commands(name: str):
    first = TEXTS[name].split("\n\n")[0]
    assert first.endswith(".")
    assert "\n" not in first
    assert len(first) <= 60
