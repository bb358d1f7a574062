"""The words of ``yoi-log --help``."""

from __future__ import annotations

__all__ = [
    "CAT",
    "CAT_AFTER",
    "CAT_BEFORE",
    "CAT_END",
    "CAT_EVENT",
    "CAT_FOLLOW",
    "CAT_FORMAT",
    "CAT_GREP",
    "CAT_LIMIT",
    "CAT_SEQ",
    "CAT_SINCE",
    "CAT_TAIL",
    "CAT_UNTIL",
    "CAT_WORKER",
    "CURSOR",
    "CURSOR_END",
    "DIRECTORY",
    "END",
    "FORK",
    "FORK_END",
    "INSPECT",
    "INSPECT_END",
    "INTO",
    "JSON",
    "LOOP",
    "MAIN",
    "NEW",
    "NEWEST",
    "OUTPUT",
    "QUICK",
    "REPAIR",
    "REPAIR_END",
    "REPLAY",
    "REPLAY_END",
    "SERVE",
    "SPEED",
    "STATS",
    "STATS_END",
    "TIMELINE",
    "TIMELINE_END",
    "VERIFY",
    "VERIFY_END",
    "WHICH_CURSOR",
]

MAIN = """Looks into the log of a Runtime.

Reads a log that a Runtime writes at the moment as well as one that was copied from another machine, and changes nothing in it.
"""

END = """Exit codes: 0 done, nothing is wrong; 1 something is wrong with the log, was lost in a repair, or the cursor would not resume; 2 wrong usage; 3 it could not be done; 130 Ctrl-C."""

DIRECTORY = "Data directory of a Runtime, or the directory log in it."
JSON = "Print one JSON object for programs."

INSPECT = """Show what a log is and holds.

Its identity, from where to where it goes, every segment, every Worker with its events and bytes, what was rotated out, and what is damaged. Reads the whole log, unless --quick.

\b
Examples:
  yoi-log inspect ~/.local/share/yoi-runtime
  yoi-log inspect --quick --json ./data
"""
INSPECT_END = "Exits with 1 when something is damaged."
QUICK = "Look at headers, watermark and catalog only: at once, without counts of events by Worker, and blind to damage in records."

CURSOR = """Show what a cursor names and whether it would resume.

\b
Examples:
  yoi-log cursor wo1X3r...
  yoi-log cursor wo1X3r... --dir ./data
"""
CURSOR_END = "Exits with 1 when a Runtime on this log would not resume there."
WHICH_CURSOR = "The cursor, as it came in an event or a frame."

STATS = """Show what happened in a log, in numbers.

Events by name and Worker, how many a second, tokens used, tool calls with their durations and failures, the longest silences, and how each run ended. Reads the whole log once, in bounded memory.

\b
Examples:
  yoi-log stats ~/.local/share/yoi-runtime
  yoi-log stats --json ./data | jq .tokens
"""
STATS_END = "Exits with 1 when some of the log could not be read: the numbers are then without it."

TIMELINE = """Draw a log: Workers as lanes over time.

A page that shows turns, model and tool calls, retries, errors, token use and gaps; zoom, move, filter, search, click for the event. One file that loads nothing from anywhere. With a name that ends in .svg a figure for a report.

\b
Examples:
  yoi-log timeline ~/.local/share/yoi-runtime -o timeline.html
  yoi-log timeline ./data -o incident.svg
"""
TIMELINE_END = "Exits with 1 when some of the log could not be read: the picture shows where."
OUTPUT = "File to write, .html or .svg; what is there is replaced."
NEWEST = "Draw the newest so many events."

REPLAY = """Play a log again: to stdout, into a new log, or served.

To stdout every record comes as it stands in the log, when it is due. With --into the same Workers do the same in a new Runtime: Worker ids, order and payloads are kept, everything else is new. With --serve a Backend can connect as to the Runtime that wrote it: same endpoints, timing, cursors and event ids; on a terminal space pauses, the arrow keys seek and change the speed. The log itself is only read.

\b
Examples:
  yoi-log replay ./data
  yoi-log replay ./data --speed 10x | jq .envelope.payload
  yoi-log replay ./data --into ./again
  yoi-log replay ./data --serve 127.0.0.1:38800 --speed 2x --loop
"""
REPLAY_END = (
    "Exits with 1 when some of the log could not be read, with --serve as the signal says that ends it (Ctrl-C: 130)."
)
SPEED = "How many times as fast as it was: 10x, 0.5x, or max for no waiting. By default 1x, with --into max."
INTO = "Make a new Runtime's data directory here, which must not exist, and repeat the events in it."
SERVE = "Serve it as a live Runtime at HOST:PORT, for this machine alone; port 0 chooses one."
LOOP = "With --serve: begin anew when it has ended."
VERIFY = """Read everything and report every defect.

Checksums, seqs, worker_seqs, event ids, each record's own cursor against its place, headers against each other, the watermark, the indexes, the catalog, the transcripts. Nothing is written, beside their file neither. A log that a Runtime writes is read up to its watermark. Without a sound watermark the segments are read by themselves, and that is said.

\b
Examples:
  yoi-log verify ./data
  yoi-log verify --json ./data | jq '.defects[]'
"""
VERIFY_END = "Exits with 1 on any defect, with 3 when there is nothing to read."

REPAIR = """Make a sound copy of a damaged log.

Reports exactly what could not be saved. The original is only read. What survives keeps its place: cursors, event ids, seqs and worker_seqs stay valid in the copy. Where events are lost the copy has records of the event "lost". Sound transcripts come along. Refuses a log that a Runtime holds, and a NEW that exists.

\b
Examples:
  yoi-log repair ./data --out ./data-repaired
  yoi-log repair ./data --out ./data-repaired --json > repair.json
"""
REPAIR_END = "Exits with 0 when nothing was lost, with 1 when the copy was made and lacks something, with 3 when there is no copy."

FORK = """Copy a log under a new log id.

It is the way to restore a backup beside its original. Cursors of the original are answered as foreign by the copy. Events keep their ids, seqs, worker_seqs and times, so that last_event_id goes on, and who has an event knows it again. Sound transcripts come along. NEW appears whole or not at all.

\b
Examples:
  yoi-log fork ./backup/data ./data-of-yesterday
"""
FORK_END = "Exits with 3 when the log is damaged (repair it first) or NEW exists; then nothing was made."
NEW = "The directory to make; it must not exist. Its parent must."

CAT = """Show the records of a log, all or some.

All filters must agree. Passes over segments that the indexes and headers rule out, and never loads the log. Damage on the way is told on stderr and by the exit code.

\b
Examples:
  yoi-log cat ./data --tail 20 --format text
  yoi-log cat ./data --worker coder --since 2h --format markdown > coder.md
  yoi-log cat ./data --event tool_result --grep '"is_error":true' --format payloads
  yoi-log cat ./data --after wo1X3r... | jq .envelope.payload
  yoi-log cat ./data --follow --format text
"""
CAT_END = "Exits with 1 when something in what was read is damaged, or a cursor would not resume; 2 for a filter that cannot be read; 130 on Ctrl-C."
CAT_WORKER = "Only events of this Worker; may be given more than once."
CAT_EVENT = "Only events of this name; may be given more than once."
CAT_SINCE = "Only events at or after this time: 90s, 15m, 2h, 3d, 1w ago, or RFC 3339 (2026-11-22T17:37:23Z)."
CAT_UNTIL = "Only events before this time, written likewise."
CAT_SEQ = "Only these seqs: 7, 7-12, 7- or -12."
CAT_AFTER = "Only events after this cursor."
CAT_BEFORE = "Only events up to this cursor."
CAT_GREP = "Only events whose payload, as JSON, this regular expression (Python's) finds something in."
CAT_LIMIT = "Stop after so many events."
CAT_TAIL = "Only the last so many of the events that are asked for."
CAT_FORMAT = "frames: the lines of the log. payloads: what the events say. text: as yoi-runtime tail shows them. markdown: a conversation per Worker."
CAT_FOLLOW = "Go on with what is appended, until Ctrl-C."
