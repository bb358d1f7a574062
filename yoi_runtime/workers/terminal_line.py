"""One line of a terminal: cells with characters, and the column where the next one goes. Knows no codes."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["TerminalLine"]

_TAB: Final = 8
# A family of seven with its joiners takes this many; a cell is no place for a text.
_MOST_IN_A_CELL: Final = 16


class TerminalLine:
    """Cells of a line that has not ended. A character of two columns has two, the second of them empty; so has a tab.

    What is written over a part of such a character leaves blanks of the rest of it.
    """

    most_cells: Final = 16_384
    """What a program writes on one line beyond this is let go of, oldest first: nothing goes back that far."""

    def __init__(self, columns: int) -> None:
        self._last_column = columns - 1
        self._cells: list[str] = []
        self.column = 0

    @property
    def empty(self) -> bool:
        return not self._cells and self.column == 0

    @property
    def blank(self) -> bool:
        return not "".join(self._cells).strip()

    def text(self) -> str:
        return "".join(self._cells)

    def clear(self) -> None:
        self._cells, self.column = [], 0

    def write(self, text: str) -> str:
        """Write characters at the column; return what had to be let go of."""
        gone = ""
        for character in text:
            width = 1 if character < "\u0300" else _width(character)
            if width == 0 and self._combine(character):
                continue
            gone += self._put(character, max(width, 1))
        return gone

    def tab(self) -> str:
        """Go to the next stop, as a tab where there is nothing yet; return what had to be let go of."""
        width = _TAB - self.column % _TAB
        if self.column == len(self._cells):
            return self._put("\t", width)
        self.column += width
        return ""

    def forward(self, count: int) -> None:
        """Go right, as far as the window goes, or the line."""
        self.column = min(self.column + count, max(self._last_column, len(self._cells), self.column))

    def repeat(self, count: int) -> str:
        """Write the character before the column again; return what had to be let go of."""
        at = self.column - 1
        while 0 <= at < len(self._cells) and self._cells[at] == "":
            at -= 1
        if not 0 <= at < len(self._cells) or self._cells[at] == "\t":
            return ""
        return self.write(self._cells[at][0] * count)

    def insert(self, count: int) -> str:
        """Push what stands at the column and after it to the right; return what had to be let go of."""
        if self.column < len(self._cells):
            self._split(self.column)
            self._cells[self.column : self.column] = [" "] * count
        return self._let_go()

    def delete(self, count: int) -> None:
        """Take characters out at the column; the rest comes nearer."""
        self._split(self.column)
        self._split(self.column + count)
        del self._cells[self.column : self.column + count]

    def blank_out(self, count: int) -> None:
        """Make blanks of the characters at the column."""
        self._split(self.column)
        self._split(self.column + count)
        if self.column + count >= len(self._cells):
            del self._cells[self.column :]
        else:
            self._cells[self.column : self.column + count] = [" "] * count

    def erase(self, part: int) -> None:
        """Erase from the column on (0), up to and with it (1), or all (2)."""
        if part == 0:
            self._split(self.column)
            del self._cells[self.column :]
        elif part == 1:
            column, self.column = self.column, 0
            self.blank_out(column + 1)
            self.column = column
        elif part == 2:
            self._cells = []

    def _put(self, character: str, width: int) -> str:
        cells, column = self._cells, self.column
        if column > len(cells):
            cells.extend(" " * (column - len(cells)))
        end = column + width
        if column < len(cells):
            self._split(column)
            self._split(end)
        cells[column:end] = [character, *([""] * (width - 1))]
        self.column = end
        return self._let_go() if len(cells) > self.most_cells else ""

    def _combine(self, character: str) -> bool:
        """Add an accent or the like to the character before the column; False where there is none."""
        at = min(self.column, len(self._cells)) - 1
        while at >= 0 and self._cells[at] == "":
            at -= 1
        if at < 0 or len(self._cells[at]) >= _MOST_IN_A_CELL:
            return False
        self._cells[at] += character
        return True

    def _split(self, column: int) -> None:
        """Make blanks of a character that reaches from before ``column`` to behind it."""
        cells = self._cells
        if not 0 < column < len(cells) or cells[column] != "":
            return
        begin = column
        while begin > 0 and cells[begin] == "":
            begin -= 1
        end = column
        while end < len(cells) and cells[end] == "":
            end += 1
        cells[begin:end] = [" "] * (end - begin)

    def _let_go(self) -> str:
        if len(self._cells) <= self.most_cells:
            return ""
        cut = len(self._cells) // 2
        while self._cells[cut] == "":
            cut -= 1
        gone = "".join(self._cells[:cut])
        del self._cells[:cut]
        self.column = max(self.column - cut, 0)
        return gone


@lru_cache(maxsize=4096)
def _width(character: str) -> int:
    """Return how many columns a character takes."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
