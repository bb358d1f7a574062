"""The words of ``yoi-log --help``."""

from __future__ import annotations

__all__ = [
    "CURSOR",
    "CURSOR_END",
    "DIRECTORY",
    "END",
    "INSPECT",
    "INSPECT_END",
    "INTO",
    "JSON",
    "LOOP",
    "MAIN",
    "NEWEST",
    "OUTPUT",
    "QUICK",
    "REPLAY",
    "REPLAY_END",
    "SERVE",
    "SPEED",
    "STATS",
    "STATS_END",
    "TIMELINE",
    "TIMELINE_END",
    "WHICH_CURSOR",
]

MAIN = """Looks into the log of a Runtime.

Reads a log that a Runtime writes at the moment as well as one that was copied from another machine, and changes nothing in it.
"""

END = """Exit codes: 0 done, nothing wrong; 1 something is wrong with the log, or the cursor would not resume; 2 wrong usage; 3 the log could not be read."""

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

REPLAY = """Play a log again: to stdout, into another log, or as a live Runtime.

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
SERVE = "Serve it as a live Runtime at HOST:PORT; port 0 chooses one."
LOOP = "With --serve: begin anew when it has ended."
