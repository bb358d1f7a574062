from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from yoi_log.forking import Fork
from yoi_log.repair import LostPlace, Repair
from yoi_log.repair_text import show_fork, show_repair
from yoi_log.salvage import Dropped


def shown(what: Repair | Fork) -> str:
    console = Console(file=io.StringIO(), width=200)
    if isinstance(what, Repair):
        show_repair(what, console)
    else:
        show_fork(what, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


END = {"segment": 3, "offset": 99, "seq": 50}


def test_a_complete_copy_is_called_complete():
    text = shown(Repair("ab" * 8, "from", "to", 50, 3, END, remade=["the catalog"], torn_bytes=12))
    assert "Nothing was lost." in text
    assert "the catalog" in text
    assert "12 B behind the end" in text


def test_what_could_not_be_saved_is_told_with_its_owners():
    lost = [LostPlace("2.jsonl", 7, 11, 13, {"coder": [4, 5]}, 1), LostPlace("3.jsonl", 9, 20, 20, {}, 1)]
    text = shown(Repair("ab" * 8, "from", "to", 46, 3, END, lost=lost))
    assert "4 events could not be saved:" in text
    assert "2.jsonl offset 7: seq 11 to 13 (coder 4 to 5, 1 of nobody known)" in text
    assert "3.jsonl offset 9: seq 20 (of nobody known)" in text


def test_where_history_begins_or_ends_is_told():
    repair = Repair("ab" * 8, "from", "to", 46, 3, END)
    repair.begins_after = Dropped(1, 2, 1, 30, "too little room")
    repair.ends_before = Dropped(4, 4, 51, None, "nothing was found")
    text = shown(repair)
    assert "The copy begins after segments 1 to 2 (seq 1 to 30): too little room" in text
    assert "The copy ends before segment 4 (seq 51 to ?): nothing was found" in text
    assert not repair.complete


def test_a_fork_names_both_logs():
    text = shown(Fork("ab" * 8, "cd" * 8, str(Path("from")), "to", 50, 3, END, "copied, 7 items of 2 Workers"))
    assert "ab" * 8 in text
    assert "cd" * 8 in text
    assert "transcripts  copied, 7 items of 2 Workers" in text
