r"""What a terminal would show of a stream of bytes, line by line, without the codes. Pure.

    "\x1b[32mok\x1b[0m 10%\r\x1b[K100%\r\n"  ->  "100%\n"

A line is what stood in it when it ended: a carriage return and a backspace go back, and what comes then stands in the
place of what was there, as it does on the screen. There is no screen, though: a line is as long as it is, and where a
program goes up, down or to another row, the line it was on has ended. So the text of a full-screen program comes out
as lines, in the order in which it was drawn.

The parser follows ECMA-48 and the state table at https://vt100.net/emu/dec_ansi_parser. Bytes that are not UTF-8 pass
unchanged; telling them is the adapters' affair.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping
from typing import Final

from yoi_runtime.workers.terminal_line import TerminalLine

__all__ = ["TerminalText"]

# Lines on which nothing has to be done: by far the most of what most programs print.
_PLAIN_LINES: Final = re.compile(r"(?:[^\x00-\x08\x0b-\x1f\x7f-\x9f\n]*\r?\n)+")
_PLAIN: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
# What ends a control string: ST in one character, and what begins or breaks another sequence; for OSC also BEL.
_STRING_END: Final = re.compile(r"[\x18\x1a\x1b\x9c]")
_OSC_END: Final = re.compile(r"[\x07\x18\x1a\x1b\x9c]")
# A string that goes on for longer was none: an image is smaller, and a stray ESC P must not swallow a Worker's life.
_LONGEST_STRING: Final = 4 << 20
_LONGEST_SEQUENCE: Final = 256
# How far a program can say to repeat a character or to insert blanks: more than a window is wide.
_MOST_AT_ONCE: Final = 1024

_CANCEL: Final = "\x18\x1a"
_NEW_LINE: Final = "\n\x0b\x0c\x84\x85"
_STRINGS: Final[Mapping[str, re.Pattern[str]]] = {
    **dict.fromkeys("PX^_", _STRING_END),  # DCS, SOS, PM, APC
    "]": _OSC_END,
}
# DEC Special Graphics: what ESC ( 0 makes of these characters. Lines around tables and menus.
_GRAPHICS: Final = str.maketrans(dict(zip("`afgjklmnopqrstuvwxyz{|}~", "◆▒°±┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·", strict=True)))


class TerminalText:
    """Takes the bytes a terminal got, and gives those that are left, with a newline after each line that has ended.

    Memory is one line of at most ``TerminalLine.most_cells`` characters, and one unfinished sequence.
    """

    def __init__(self, columns: int) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._line = TerminalLine(columns)
        self._state: Callable[[str, int], int] = self._ground
        self._out: list[str] = []
        self._sequence = ""
        self._string_end = _STRING_END
        self._string_length = 0
        # G0 and G1, and which of the two is in use.
        self._graphics = [False, False]
        self._shifted = 0

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return the lines they complete, and the beginning of one that is too long to keep."""
        return self._run(self._decode(chunk))

    def finish(self) -> bytes:
        """Return the last line when the stream ended without a newline after it."""
        out = self._run(self._decode(b"", True)) + _encoded(self._line.text())
        self._line.clear()
        return out

    def _run(self, text: str) -> bytes:
        at = 0
        while at < len(text):
            at = self._state(text, at)
        out, self._out = "".join(self._out), []
        return _encoded(out)

    # States: each takes what stands at an offset, and returns the offset after it.

    def _ground(self, text: str, at: int) -> int:
        graphics = self._graphics[self._shifted]
        if self._line.empty and not graphics and (found := _PLAIN_LINES.match(text, at)):
            self._out.append(found[0].replace("\r\n", "\n"))
            return found.end()
        if found := _PLAIN.match(text, at):
            said = found[0].translate(_GRAPHICS) if graphics else found[0]
            self._out.append(self._line.write(said))
            return found.end()
        self._control(text[at])
        return at + 1

    def _escape(self, text: str, at: int) -> int:
        character = text[at]
        if "\x20" <= character <= "\x2f":
            # An intermediate: one of two, or three, characters.
            self._sequence = (self._sequence + character)[:_LONGEST_SEQUENCE]
        elif "\x30" <= character <= "\x7e":
            self._state = self._ground
            if self._sequence:
                self._designate(self._sequence, character)
            elif character in "[PX^_]":
                self._begin(character)
            elif "\x40" <= character <= "\x5f":
                # C1 in its form of seven bits.
                self._control(chr(ord(character) + 0x40))
        else:
            self._within(character)
        return at + 1

    def _csi(self, text: str, at: int) -> int:
        character = text[at]
        if "\x20" <= character <= "\x3f":
            self._sequence += character
            if len(self._sequence) > _LONGEST_SEQUENCE:
                self._state = self._ground
        elif "\x40" <= character <= "\x7e":
            self._state = self._ground
            self._dispatch(self._sequence, character)
        else:
            self._within(character)
        return at + 1

    def _string(self, text: str, at: int) -> int:
        found = self._string_end.search(text, at)
        end = found.start() if found else len(text)
        room = _LONGEST_STRING - self._string_length
        if end - at > room:
            self._state = self._ground
            return at + room
        self._string_length += end - at
        if found is None:
            return end
        self._state = self._ground
        if found[0] == "\x1b":
            # ESC \ is ST; any other sequence ends the string as well.
            self._begin_escape()
        return found.end()

    def _within(self, character: str) -> None:
        """Take what is no part of the sequence that it stands in."""
        if character == "\x1b":
            self._begin_escape()
        elif character in _CANCEL:
            self._state = self._ground
        elif character < "\x20" or character == "\x7f":
            # A control within a sequence is carried out, and the sequence goes on.
            state = self._state
            self._control(character)
            self._state = state
        else:
            self._state = self._ground
            if character > "\x9f":
                self._out.append(self._line.write(character))
            else:
                self._control(character)

    def _begin_escape(self) -> None:
        self._state, self._sequence = self._escape, ""

    def _begin(self, introducer: str) -> None:
        if introducer == "[":
            self._state, self._sequence = self._csi, ""
        else:
            self._state, self._string_end, self._string_length = self._string, _STRINGS[introducer], 0

    # What the codes do to a line.

    def _control(self, character: str) -> None:
        if character in _NEW_LINE:
            self._end_line()
        elif character == "\r":
            self._line.column = 0
        elif character == "\b":
            self._line.column = max(self._line.column - 1, 0)
        elif character == "\t":
            self._out.append(self._line.tab())
        elif character == "\x1b":
            self._begin_escape()
        elif character in "\x0e\x0f":
            self._shifted = 1 if character == "\x0e" else 0
        elif "\x80" <= character <= "\x9f" and (introducer := chr(ord(character) - 0x40)) in "[PX^_]":
            self._begin(introducer)

    def _end_line(self) -> None:
        self._out.append(self._line.text() + "\n")
        self._line.clear()

    def _leave_line(self) -> None:
        """Go to another row: what stands on this one has ended, if there is anything."""
        if not self._line.blank:
            self._end_line()
        self._line.clear()

    def _designate(self, intermediates: str, final: str) -> None:
        if intermediates in ("(", ")"):
            self._graphics["()".index(intermediates)] = final == "0"

    def _dispatch(self, parameters: str, final: str) -> None:
        line, numbers = self._line, _numbers(parameters)
        if numbers is None:
            return  # private, or with intermediates: modes, colours of the pointer, questions to the terminal
        first = numbers[0] if numbers else 0
        count = min(max(first, 1), _MOST_AT_ONCE)
        match final:
            case "C" | "a":
                line.forward(count)
            case "D":
                line.column = max(line.column - count, 0)
            case "G" | "`":
                line.column = 0
                line.forward(count - 1)
            case "K":
                line.erase(first)
            case "J" if first == 0:
                line.erase(0)
            case "J" if first in (2, 3):
                self._leave_line()
            case "P":
                line.delete(count)
            case "X":
                line.blank_out(count)
            case "@":
                self._out.append(line.insert(count))
            case "b":
                self._out.append(line.repeat(count))
            case "A" | "B" | "E" | "F" | "H" | "f" | "d" | "e":
                self._leave_line()


def _numbers(parameters: str) -> list[int] | None:
    """Return the parameters of a sequence, 0 for one left out; None where they are no plain numbers."""
    fields = parameters.split(";") if parameters else []
    if not all(field == "" or (field.isascii() and field.isdigit()) for field in fields):
        return None
    # Nine digits are more than anything here needs.
    return [int(field[:9] or 0) for field in fields]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
