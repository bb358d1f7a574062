"""The benches of yoi_runtime: each is measured in turn with its peers, on this machine, in one run.

Run as ``python3 tools/dev.py bench``. Says on stderr what goes on, on stdout what was found.
"""

from __future__ import annotations

import argparse
import datetime
import signal
import sys
from pathlib import Path

from tools import dev
from tools.bench.child import MeasurementError
from tools.bench.machine import busy_share, describe, is_on_a_disk
from tools.bench.registry import BENCHES
from tools.bench.report import Circumstances, MarkerError, as_json, as_text, write_section
from tools.bench.setting import Setting, Shelf

__all__ = ["main"]

DOCUMENT = dev.ROOT / "docs" / "performance.md"
# Not /tmp, which may be in memory. Everything is in a directory of its own in there.
DIRECTORY = Path("/var/tmp")  # noqa: S108
# Above this share the figures are somebody else's, too.
BUSY = 0.1


def main(arguments: list[str]) -> int:
    """Run the benches that are named, or all, and return an exit status. A target that is missed is no failure."""
    options = _parser().parse_args(arguments)
    directory: Path = options.directory
    if options.write_docs and options.quick:
        print("bench: --quick gives no figures for docs/performance.md", file=sys.stderr)
        return 2
    if not options.quick and not is_on_a_disk(directory):
        print(
            f"bench: {directory} is in memory, where a sync costs nothing; give --directory on a disk", file=sys.stderr
        )
        return 2
    busy = None if options.quick else busy_share()
    if busy is not None and busy > BUSY:
        _say(f"others use {busy:.0%} of the processors: these figures are theirs, too")
        if options.write_docs:
            _say("docs/performance.md is for figures of a quiet machine; nothing was measured")
            return 1
    circumstances = Circumstances(
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", describe(directory), busy, options.quick
    )
    results = []
    try:
        with Shelf(directory, quick=options.quick, say=_say) as shelf:
            for name in options.name or BENCHES:
                bench = BENCHES[name]
                _say(name)
                rounds = options.rounds or (1 if options.quick else bench.rounds)
                setting = Setting(shelf, rounds, options.quick, not options.no_install, _say)
                result = bench.run(setting)
                results.append(result)
                if not options.json:
                    print(as_text(result, circumstances), flush=True)
                if options.write_docs:
                    write_section(DOCUMENT, result, circumstances)
    except (MeasurementError, MarkerError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(as_json(results, circumstances))
    return 0


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {bench.name:<18}{bench.summary}" for bench in BENCHES.values())
    parser = argparse.ArgumentParser(
        prog="tools/dev.py bench",
        description="Measure yoi_runtime and its peers, in turn, each measurement a fresh process.",
        epilog=f"benches:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="*", metavar="NAME", type=_bench, help="which; all without a name")
    parser.add_argument("--rounds", type=_positive, help="how often everything is measured")
    parser.add_argument("--json", action="store_true", help="print one JSON object with every value")
    parser.add_argument("--write-docs", action="store_true", help="put the figures into docs/performance.md")
    parser.add_argument("--quick", action="store_true", help="run everything, small and once: only to see that it runs")
    parser.add_argument("--no-install", action="store_true", help="leave out the peers that are not here yet")
    parser.add_argument(
        "--directory", type=_directory, default=DIRECTORY, help=f"where the logs are made, on a disk ({DIRECTORY})"
    )
    return parser


def _bench(text: str) -> str:
    if text not in BENCHES:
        raise argparse.ArgumentTypeError(f"no bench is called {text!r}; there are {', '.join(BENCHES)}")
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or not path.is_dir():
        raise argparse.ArgumentTypeError("an absolute path of a directory that exists")
    return path


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # A run that is told to end still deletes its ten gigabytes.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
