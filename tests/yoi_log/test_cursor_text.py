from __future__ import annotations

import io

import pytest
from rich.console import Console
from yoi_log.cursor_answer import CursorAnswer
from yoi_log.cursor_text import show_cursor


def shown(answer: CursorAnswer) -> str:
    console = Console(file=io.StringIO(), width=200, highlight=False)
    show_cursor(answer, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answer", "reason", "behind", "words"),
    [
        ("resumes", None, 3, "resumes, 3 events to come"),
        ("resumes", None, 0, "resumes at the end of the log"),
        ("expired", "7 events after it were rotated out", None, "expired: 7 events after it were rotated out"),
    ],
)
def test_the_answer_is_said_in_words(answer: str, reason: str | None, behind: int | None, words: str):
    text = shown(CursorAnswer("wo1", "ab", 2, 300, 9, "coder", "01", 4, answer, reason, behind))
    assert words in text
    assert "coder, after its event 4" in text


def test_a_worker_that_nobody_knows_is_told_by_its_tag():
    text = shown(CursorAnswer("wo1", "ab", 2, 300, 9, None, "0123456789", 4))
    assert "the Worker with tag 0123456789" in text
    assert "answer" not in text
