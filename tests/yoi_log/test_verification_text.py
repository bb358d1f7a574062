from __future__ import annotations

import io

from rich.console import Console
from yoi_log.defect import Defect
from yoi_log.log_place import find_log
from yoi_log.verification import verify_log
from yoi_log.verification_text import defect_text, show_verification

from tests.yoi_log.sample import GOLDEN


def shown(name: str) -> str:
    console = Console(file=io.StringIO(), width=200)
    show_verification(verify_log(find_log(GOLDEN / name)), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_sound_log_is_called_sound():
    assert "Sound: nothing is wrong." in shown("clean")
    assert "15 events in 3 segments" in shown("clean")


def test_a_torn_tail_is_told_and_no_defect():
    assert "627 B after the end" in shown("torn_tail")
    assert "Sound" in shown("torn_tail")


def test_each_defect_has_a_line():
    text = shown("corrupt_middle")
    assert "1 defect:" in text
    assert "record_damaged: 00000000000000000001.jsonl offset 3482: seq 11: its checksum does not match" in text


def test_what_is_not_known_is_left_out():
    assert defect_text(Defect("catalog_missing", "catalog.json", None, None, None, "there is none")) == (
        "catalog_missing: catalog.json: there is none"
    )
