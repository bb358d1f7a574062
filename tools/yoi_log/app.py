"""The program ``yoi-log``: its commands and options, read and handed on. What they do stands in their own modules."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict
from enum import IntEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from yoi_log import help_texts
from yoi_log.cat import CatRequest, CatWords, cat_log
from yoi_log.cat_output import CatFormat, make_cat_output
from yoi_log.cursor_answer import answer_cursor
from yoi_log.cursor_text import show_cursor
from yoi_log.forking import fork_log
from yoi_log.inspection import inspect_log
from yoi_log.inspection_text import show_inspection
from yoi_log.log_place import LogPlace, find_log
from yoi_log.pace import FLAT_OUT, parse_speed
from yoi_log.progress import progress_bar
from yoi_log.repair import repair_log
from yoi_log.repair_text import show_fork, show_repair
from yoi_log.replay_command import replay_into, replay_to, serve_replay
from yoi_log.selection import SelectionError
from yoi_log.stats import measure_log
from yoi_log.stats_text import show_stats
from yoi_log.timeline import MOST_EVENTS, read_timeline
from yoi_log.timeline_page import render_page
from yoi_log.timeline_svg import render_svg
from yoi_log.verification import verify_log
from yoi_log.verification_text import show_verification
from yoi_log.wording import count, size
from yoi_runtime.cli.options import parse_bind
from yoi_runtime.errors import CursorMalformedError, YoiError
from yoi_runtime.version import VERSION

__all__ = ["ExitCode", "app", "run_app"]

_T = TypeVar("_T")
_PROGRAM = "yoi-log"
_INTERRUPTED = 130


class ExitCode(IntEnum):
    """What a shell sees."""

    OK = 0
    FOUND = 1
    USAGE = 2
    FAILED = 3


# Plain help, not Rich's: it can be piped and pasted, and square brackets in it are square brackets.
app = typer.Typer(
    help=help_texts.MAIN,
    epilog=help_texts.END,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help=help_texts.DIRECTORY, show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help=help_texts.JSON)]


def run_app() -> int:
    """Run the program with ``sys.argv`` and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app(prog_name=_PROGRAM)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else ExitCode.OK if ended.code is None else ExitCode.FAILED
    except BrokenPipeError:
        # Whoever read has enough. What is still buffered has nowhere to go.
        sys.stdout = open(0, "w", closefd=False)  # noqa: SIM115
        return ExitCode.OK
    return ExitCode.OK


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"{_PROGRAM} {VERSION}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Every command begins here; the text of its help is given to ``app``."""


@app.command("inspect", help=help_texts.INSPECT, epilog=help_texts.INSPECT_END)
def _inspect(
    directory: Directory,
    quick: Annotated[bool, typer.Option("--quick", help=help_texts.QUICK)] = False,
    as_json: AsJson = False,
) -> None:
    place = _place(directory)
    with progress_bar("reading", 0 if quick else _bytes_in(place)) as progress:
        inspection = _or_exit(lambda: inspect_log(place, read_records=not quick, progress=progress))
    if as_json:
        _print_json(asdict(inspection))
    else:
        show_inspection(inspection, _console())
    if inspection.damaged or any(segment.problem for segment in inspection.segments):
        raise typer.Exit(ExitCode.FOUND)


@app.command("cursor", help=help_texts.CURSOR, epilog=help_texts.CURSOR_END)
def _cursor(
    context: typer.Context,
    token: Annotated[str, typer.Argument(metavar="TOKEN", help=help_texts.WHICH_CURSOR, show_default=False)],
    directory: Annotated[Path | None, typer.Option("--dir", metavar="DIR", help=help_texts.DIRECTORY)] = None,
    as_json: AsJson = False,
) -> None:
    place = _place(directory) if directory is not None else None
    try:
        answer = _or_exit(lambda: answer_cursor(token, place))
    except CursorMalformedError as error:
        raise typer.BadParameter(str(error), context, param_hint="TOKEN") from error
    if as_json:
        _print_json(asdict(answer))
    else:
        show_cursor(answer, _console())
    # Issued for a Worker, it is meant for that Worker's stream.
    if (answer.worker_answer or answer.answer) not in (None, "resumes"):
        raise typer.Exit(ExitCode.FOUND)


@app.command("stats", help=help_texts.STATS, epilog=help_texts.STATS_END)
def _stats(directory: Directory, as_json: AsJson = False) -> None:
    place = _place(directory)
    with progress_bar("reading", _bytes_in(place)) as progress:
        stats = _or_exit(lambda: measure_log(place, progress=progress))
    if as_json:
        _print_json(asdict(stats))
    else:
        show_stats(stats, _console())
    if stats.missing_events:
        raise typer.Exit(ExitCode.FOUND)


@app.command("timeline", help=help_texts.TIMELINE, epilog=help_texts.TIMELINE_END)
def _timeline(
    context: typer.Context,
    directory: Directory,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help=help_texts.OUTPUT)] = Path(
        "timeline.html"
    ),
    newest: Annotated[int, typer.Option("--newest", metavar="N", min=1, help=help_texts.NEWEST)] = MOST_EVENTS,
    as_json: AsJson = False,
) -> None:
    if output.suffix not in (".html", ".svg"):
        raise typer.BadParameter("the name ends neither in .html nor in .svg", context, param_hint="--output")
    place = _place(directory)
    with progress_bar("reading", _bytes_in(place)) as progress:
        timeline = _or_exit(lambda: read_timeline(place, most_events=newest, progress=progress))
    text = render_page(timeline) if output.suffix == ".html" else render_svg(timeline)
    _or_exit(lambda: output.write_text(text, "utf-8"))
    if as_json:
        facts = {name: getattr(timeline, name) for name in ("log_id", "events", "left_out", "missing")}
        _print_json({"file": str(output), "size_bytes": len(text.encode()), **facts})
    else:
        left_out = f", {timeline.left_out:,} older ones left out" if timeline.left_out else ""
        print(f"{output}: {count(timeline.events - timeline.left_out, 'event')}, {size(len(text.encode()))}{left_out}")
    if timeline.missing:
        raise typer.Exit(ExitCode.FOUND)


@app.command("replay", help=help_texts.REPLAY, epilog=help_texts.REPLAY_END)
def _replay(
    context: typer.Context,
    directory: Directory,
    speed: Annotated[str | None, typer.Option("--speed", metavar="FACTOR", help=help_texts.SPEED)] = None,
    into: Annotated[Path | None, typer.Option("--into", metavar="NEWDIR", help=help_texts.INTO)] = None,
    serve: Annotated[str | None, typer.Option("--serve", metavar="HOST:PORT", help=help_texts.SERVE)] = None,
    loop: Annotated[bool, typer.Option("--loop", help=help_texts.LOOP)] = False,
    as_json: AsJson = False,
) -> None:
    if into is not None and serve is not None:
        raise typer.BadParameter("choose one of --into and --serve", context, param_hint="--serve")
    if loop and serve is None:
        raise typer.BadParameter("only a served replay can loop", context, param_hint="--loop")
    try:
        pace = parse_speed(speed) if speed is not None else 1.0 if into is None else FLAT_OUT
        address = parse_bind(serve) if serve is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), context) from error
    place = _place(directory)
    if address is not None:
        serving = serve_replay(place, address, pace, loop_forever=loop, as_json=as_json)
        raise typer.Exit(_or_exit(lambda: asyncio.run(serving)))
    if into is not None:
        with progress_bar("repeating", _bytes_in(place)) as progress:
            result = _or_exit(lambda: replay_into(place, into, pace, as_json=as_json, progress=progress))
        if as_json:
            _print_json(asdict(result))
        missing = result.missing
    else:
        missing = _or_exit(lambda: replay_to(place, pace, sys.stdout.buffer))
    if missing:
        raise typer.Exit(ExitCode.FOUND)


@app.command("verify", help=help_texts.VERIFY, epilog=help_texts.VERIFY_END)
def _verify(directory: Directory, as_json: AsJson = False) -> None:
    place = _place(directory)
    with progress_bar("verifying", _bytes_in(place)) as progress:
        verification = _or_exit(lambda: verify_log(place, progress))
    if as_json:
        _print_json({"sound": verification.sound, **asdict(verification)})
    else:
        show_verification(verification, _console())
    if not verification.sound:
        raise typer.Exit(ExitCode.FOUND)


NewDirectory = Annotated[Path, typer.Argument(metavar="NEW", help=help_texts.NEW, show_default=False)]


@app.command("repair", help=help_texts.REPAIR, epilog=help_texts.REPAIR_END)
def _repair(
    directory: Directory,
    target: Annotated[Path, typer.Option("--out", metavar="NEW", help=help_texts.NEW, show_default=False)],
    as_json: AsJson = False,
) -> None:
    place = _place(directory)
    with progress_bar("repairing", 2 * _bytes_in(place)) as progress:
        repair = _or_exit(lambda: repair_log(place, target, progress))
    if as_json:
        _print_json({"complete": repair.complete, **asdict(repair)})
    else:
        show_repair(repair, _console())
    if not repair.complete:
        raise typer.Exit(ExitCode.FOUND)


@app.command("fork", help=help_texts.FORK, epilog=help_texts.FORK_END)
def _fork(directory: Directory, target: NewDirectory, as_json: AsJson = False) -> None:
    place = _place(directory)
    with progress_bar("copying", _bytes_in(place)) as progress:
        fork = _or_exit(lambda: fork_log(place, target, progress))
    if as_json:
        _print_json(asdict(fork))
    else:
        show_fork(fork, _console())


@app.command("cat", help=help_texts.CAT, epilog=help_texts.CAT_END)
def _cat(
    context: typer.Context,
    directory: Directory,
    workers: Annotated[list[str] | None, typer.Option("--worker", metavar="ID", help=help_texts.CAT_WORKER)] = None,
    events: Annotated[list[str] | None, typer.Option("--event", metavar="NAME", help=help_texts.CAT_EVENT)] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help=help_texts.CAT_SINCE)] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help=help_texts.CAT_UNTIL)] = None,
    seqs: Annotated[str | None, typer.Option("--seq", metavar="A-B", help=help_texts.CAT_SEQ)] = None,
    after: Annotated[str | None, typer.Option("--after", metavar="CURSOR", help=help_texts.CAT_AFTER)] = None,
    before: Annotated[str | None, typer.Option("--before", metavar="CURSOR", help=help_texts.CAT_BEFORE)] = None,
    grep: Annotated[str | None, typer.Option("--grep", metavar="REGEX", help=help_texts.CAT_GREP)] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help=help_texts.CAT_LIMIT)] = None,
    tail: Annotated[int | None, typer.Option("--tail", metavar="N", min=0, help=help_texts.CAT_TAIL)] = None,
    form: Annotated[CatFormat, typer.Option("--format", help=help_texts.CAT_FORMAT)] = "frames",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format frames.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help=help_texts.CAT_FOLLOW)] = False,
) -> None:
    words = CatWords(workers or [], events or [], since, until, seqs, after, before, grep)
    try:
        selection = words.selection()
    except (SelectionError, CursorMalformedError) as error:
        raise typer.BadParameter(str(error), context) from error
    if follow and form == "markdown":
        raise typer.BadParameter("a conversation is written at its end: --follow takes another format", context)
    if follow and before is not None:
        raise typer.BadParameter("--follow goes on behind the end, and --before stops in front of it", context)
    place = _place(directory)
    output = make_cat_output("frames" if as_json else form, sys.stdout)
    request = CatRequest(selection, limit, tail, follow)
    try:
        damage = _or_exit(lambda: cat_log(place, request, output, _tell))
    except KeyboardInterrupt:
        output.close()
        raise typer.Exit(_INTERRUPTED) from None
    if damage:
        raise typer.Exit(ExitCode.FOUND)


def _tell(notice: str) -> None:
    print(f"{_PROGRAM}: {notice}", file=sys.stderr)


def _place(directory: Path) -> LogPlace:
    return _or_exit(lambda: find_log(directory))


def _bytes_in(place: LogPlace) -> int:
    return sum(path.stat().st_size for path in place.log_directory.glob("*.jsonl"))


def _or_exit(call: Callable[[], _T]) -> _T:
    """Return what ``call`` does; an error that it raises on purpose ends the program with one sentence."""
    try:
        return call()
    except CursorMalformedError:
        raise
    except BrokenPipeError:
        raise
    except (YoiError, OSError) as error:
        print(f"{_PROGRAM}: {error}", file=sys.stderr)
        raise typer.Exit(ExitCode.FAILED) from error


def _console() -> Console:
    # A table is as wide as it needs to be, on a terminal too: a narrow one wraps its lines, where cells that are made to
    # fit lose digits and the ends of ids.
    return Console(highlight=False, markup=False, emoji=False, width=250)


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))
