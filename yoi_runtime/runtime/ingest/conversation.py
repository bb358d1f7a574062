"""What may come when on one connection: a hello, then events, then an end. Pure.

    start --hello--> open --events--> open --end--> over

A line that is out of its place, or none at all, is answered with why. Specification: docs/ingest.md, "Lines".
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from yoi_runtime.errors import IngestRefusedError
from yoi_runtime.runtime.ingest.lines import (
    FATAL_CODES,
    MAX_LINE_BYTES,
    End,
    EventLine,
    Hello,
    PeerLine,
    RefusalCode,
    parse_line,
    refusal_line,
)
from yoi_runtime.workers.line_splitter import Line

__all__ = ["Conversation", "Heard", "Phase", "Refused"]


class Phase(Enum):
    """How far a connection has come. ``OVER``: nothing more is heard; an end was said, or something fatal."""

    START = "start"
    OPEN = "open"
    OVER = "over"


class Heard(NamedTuple):
    """A line that is in its place, and its number."""

    number: int
    said: PeerLine


class Refused(NamedTuple):
    """A line that is not, and the answer to it, which bears this code."""

    number: int
    code: str
    answer: bytes


class Conversation:
    """One connection's lines, in order. What is heard has still to be done, and may be refused by who does it."""

    def __init__(self) -> None:
        self.phase = Phase.START

    def hear(self, line: Line) -> Heard | Refused:
        """Take the next line. Not to be called when it is over."""
        try:
            return Heard(line.number, self._heard(line))
        except IngestRefusedError as error:
            if error.code in FATAL_CODES:
                self.phase = Phase.OVER
            answer = refusal_line(error.code, error.reason, error.where, line.number)
            return Refused(line.number, error.code, answer)

    def _heard(self, line: Line) -> PeerLine:
        if line.cut_bytes:
            size = len(line.data) + line.cut_bytes
            reason = f"a line of {size} bytes is over the limit of {MAX_LINE_BYTES}"
            raise IngestRefusedError(self._code(RefusalCode.LINE_TOO_LONG), reason)
        try:
            said = parse_line(line.data)
        except IngestRefusedError as error:
            if self.phase is Phase.START and error.code not in FATAL_CODES:
                # Whatever it was meant to be: who does not begin with a hello speaks something else.
                raise IngestRefusedError(RefusalCode.HELLO_EXPECTED, error.reason, error.where) from None
            raise
        match said:
            case Hello() if self.phase is Phase.START:
                self.phase = Phase.OPEN
            case Hello():
                raise IngestRefusedError(RefusalCode.LINE_INVALID, "a connection has one hello")
            case EventLine() | End() if self.phase is Phase.START:
                raise IngestRefusedError(RefusalCode.HELLO_EXPECTED, "the first line says which Worker this is")
            case End():
                self.phase = Phase.OVER
            case EventLine():
                pass
        return said

    def _code(self, code: RefusalCode) -> RefusalCode:
        return RefusalCode.HELLO_EXPECTED if self.phase is Phase.START else code
