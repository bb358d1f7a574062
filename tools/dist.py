"""Build what is published and use it as a stranger would: ``python3 tools/dev.py dist``.

Wheel and source archive are built twice and have to be the same bytes; twine checks them; and each CPython from 3.11
up that is found here installs the wheel into clean environments, without extras and with all, and runs it. What was
built stays in ``dist/``.
"""

from __future__ import annotations

import argparse
import filecmp
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
TWINE = "twine>=6.1,<8"

_EMBED = """
import sys
from pathlib import Path
from yoi_runtime import Runtime, __version__
from yoi_runtime.events import TextDone
with Runtime.open(sys.argv[1]) as runtime, runtime.create_worker("coder") as worker:
    runtime.wait_durable(worker.emit(TextDone(text="hello")))
assert b'"text_done"' in b"".join(path.read_bytes() for path in Path(sys.argv[1]).rglob("*.jsonl"))
assert "tornado" not in sys.modules
print(__version__)
"""


class DistError(Exception):
    """What would be published does not hold."""


def main(arguments: list[str] | None = None) -> int:
    """Build and check; return the exit status."""
    parser = argparse.ArgumentParser(prog="python3 tools/dev.py dist", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--this-python", action="store_true", help="install with the Python of .venv alone")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="yoi-dist-") as scratch:
            check(Path(scratch), [sys.executable] if options.this_python else pythons())
    except DistError as error:
        print(f"dist: {error}", file=sys.stderr)
        return 1
    return 0


def check(scratch: Path, interpreters: list[str]) -> None:
    """Build, compare, check and install. Raises ``DistError``."""
    wheel = build(scratch)
    print(f"--- dist: twice the same bytes: {', '.join(path.name for path in sorted(DIST.iterdir()))}", flush=True)
    tools = environment(Path(sys.executable), scratch / "tools", TWINE)
    run(tools, "-m", "twine", "check", "--strict", *map(str, sorted(DIST.iterdir())))
    print("--- dist: twine finds nothing", flush=True)
    for number, interpreter in enumerate(interpreters):
        for extra in ("", "all"):
            python = environment(
                Path(interpreter), scratch / f"{number}{extra}", f"{wheel}{f'[{extra}]' if extra else ''}"
            )
            installed = try_out(python, scratch / f"{number}{extra}-data", extra)
            print(f"--- dist: {installed}, {extra or 'without'} extras: works", flush=True)


def build(scratch: Path) -> Path:
    """Build twice; return the wheel, in ``dist/``."""
    if DIST.exists():
        shutil.rmtree(DIST)
    for directory in (DIST, scratch / "again"):
        run(Path(sys.executable), "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(directory))
    names = sorted(path.name for path in DIST.iterdir())
    _, differ, missing = filecmp.cmpfiles(DIST, scratch / "again", names, shallow=False)
    if differ or missing:
        raise DistError(f"built twice, and not the same: {', '.join(differ + missing)}")
    return next(DIST.glob("*.whl"))


def try_out(python: Path, data_dir: Path, extra: str) -> str:
    """Do what a user does first; return the interpreter's version. Raises ``DistError``."""
    run(python, "-m", "pip", "check")
    version = run(python, "-c", _EMBED, str(data_dir)).strip()
    said = run(python, "-m", "yoi_runtime", "--version", fails=not extra)
    if extra and version not in said:
        raise DistError(f"yoi-runtime --version says {said!r}")
    if not extra and "yoi-runtime[cli]" not in said:
        raise DistError(f"without extras, the command line does not say what to install: {said!r}")
    return run(
        python, "-c", "import platform; print(platform.python_implementation(), platform.python_version())"
    ).strip()


def environment(interpreter: Path, directory: Path, requirement: str) -> Path:
    """Make an environment with one requirement in it; return its Python."""
    run(interpreter, "-m", "venv", str(directory))
    python = directory / "bin" / "python"
    run(python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", requirement)
    return python


def pythons() -> list[str]:
    """Return every CPython from 3.11 up: those on PATH, and those that pyenv keeps."""
    return list(dict(sorted((version, path) for path, version in _found())).values())


def _found() -> Iterator[tuple[str, str]]:
    names = [f"python3.{minor}" for minor in range(11, 20)]
    candidates = [path for name in names if (path := shutil.which(name)) is not None]
    candidates += map(str, Path.home().glob(".pyenv/versions/*/bin/python3"))
    program = "import sys, ensurepip; print(sys.implementation.name, '%d.%02d' % sys.version_info[:2])"
    for path in candidates:
        said = subprocess.run([path, "-c", program], capture_output=True, text=True, check=False).stdout
        if (match := re.fullmatch(r"cpython (\d+\.\d+)\n", said)) and match[1] >= "3.11":
            yield path, match[1]


def run(python: Path, *arguments: str, fails: bool = False) -> str:
    """Run Python, away from the tree; return what it said. Raises ``DistError`` unless it does what it should."""
    building = "hatchling" in arguments
    result = subprocess.run(
        [python, *arguments],
        cwd=ROOT if building else python.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if (result.returncode != 0) != fails:
        raise DistError(f"{python} {' '.join(arguments)}: status {result.returncode}\n{result.stdout}")
    return result.stdout


if __name__ == "__main__":
    sys.exit(main())
