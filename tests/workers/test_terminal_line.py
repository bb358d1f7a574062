from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yoi_runtime.workers.terminal_line import TerminalLine

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.text("ab日e\u0301", max_size=4)),
        st.tuples(st.sampled_from(["forward", "repeat", "insert", "delete", "blank_out"]), st.integers(1, 5)),
        st.tuples(st.just("erase"), st.integers(0, 3)),
        st.tuples(st.just("tab"), st.none()),
        st.tuples(st.just("column"), st.integers(0, 12)),
    ),
    max_size=20,
)


def played(line: TerminalLine, actions) -> str:
    gone = ""
    for name, value in actions:
        if name == "column":
            line.column = min(value, line.column)
        elif name == "tab":
            gone += line.tab()
        else:
            gone += getattr(line, name)(value) or ""
    return gone


@given(ACTIONS)
def test_every_character_begins_its_own_cells_whatever_was_done(actions):
    line = TerminalLine(10)
    assert played(line, actions) == ""
    cells = line._cells
    assert not cells or cells[0] != ""
    assert line.column >= 0
    assert line.text() == "".join(cells)
    for at, cell in enumerate(cells):
        if cell.startswith("日"):
            assert cells[at + 1 : at + 2] == [""], "a wide character has two cells"
        elif cell == "":
            assert cells[at - 1] == "" or cells[at - 1].startswith(("\t", "日"))


def test_a_line_is_empty_blank_or_has_text():
    line = TerminalLine(10)
    assert line.empty
    line.write("  ")
    assert (line.empty, line.blank) == (False, True)
    line.write("x")
    assert (line.blank, line.text()) == (False, "  x")
    line.clear()
    assert line.empty


def test_what_is_too_much_for_a_line_goes_oldest_first_and_on_a_character(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(TerminalLine, "most_cells", 9)
    line = TerminalLine(10)
    gone = line.write("aa日日日日日b")
    assert gone == "aa日"
    assert (line.text(), gone + line.text()) == ("日日日日b", "aa日日日日日b")
    assert line.column == 9
