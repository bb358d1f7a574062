"""Work on yoi_runtime: make its environment when needed, then run a command in it.

    python3 tools/dev.py COMMAND [ARGUMENT ...]

    demo          show a Runtime and a Backend at work
    serve         run a Runtime with its WebSocket server
    test          run the tests, on all cores; with arguments, which are pytest's (paths from the top of
                  the tree), as they say
    lowest        run the tests with the lowest version of everything that pyproject.toml admits
    lint          run ruff, mypy and import-linter; --fix lets ruff mend what it can
    torture       try to break the storage engine, for as long as you like (`torture --help`)
    soak          load a real server for half an hour and see that nothing grows; --small takes a minute
    nix           build and check the flake without a network (`nix --help`)
    dist          build what is published, and use it in clean environments (`dist --help`)
    recordings    make the sample recordings of tests/yoi_log again
    bench         measure yoi_runtime and its peers (`bench --help`)
    schemas       write docs/schemas from the models; --check only says whether they are current
    foreign       let clients in other languages read from a server; builds them first, where their tools are
    lock          write tools/requirements.lock and tools/lowest.lock from pyproject.toml, and
                  tools/bench/requirements.lock;
                  arguments are those of `uv pip compile` (--upgrade, --upgrade-package NAME)
    any other     a command of yoi-runtime (`python3 tools/dev.py --help` is this text,
                  `python3 tools/dev.py help` or `COMMAND --help` is that of yoi-runtime)

Needs Python 3.11 or later with venv (Debian, Ubuntu: python3-venv), nothing else. The environment
is .venv at the top of the tree (.venv-3.12 for a second Python): every package pinned by hash in
tools/requirements.lock, yoi_runtime itself from the tree. It is made on the first run, and made anew
when the lock changes, so that everybody runs the same; it belongs to this program.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["main"]

OLDEST_PYTHON = (3, 11)
# The lock is this program's output: another version may write it in another way.
UV = "uv==0.13.9"

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = ROOT / "pyproject.toml"
LOCK = ROOT / "tools" / "requirements.lock"
LOWEST_LOCK = ROOT / "tools" / "lowest.lock"
BENCH_LOCK = ROOT / "tools" / "bench" / "requirements.lock"
ENVIRONMENT = ROOT / ".venv"
LOWEST_ENVIRONMENT = ROOT / ".venv-lowest"
SET_UP_LOCK = ROOT / ".venv.lock"


class SetUpError(Exception):
    """The environment cannot be made; the text says why and what to do."""


def main(arguments: list[str]) -> int:
    """Run one command and return its exit status; most replace this process and never return."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print((__doc__ or "").strip(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    command, rest = arguments[0], arguments[1:]
    try:
        check_python()
        if command == "lock":
            return lock(rest)
        lowest = command == "lowest"
        environment = ready_environment(LOWEST_ENVIRONMENT, LOWEST_LOCK) if lowest else ready_environment()
    except (OSError, SetUpError) as error:
        say(str(error))
        return 1
    if command == "lint":
        return lint(environment, rest)
    modules = {
        "test": "pytest",
        "lowest": "pytest",
        "torture": "tests.torture",
        "soak": "tools.soak",
        "nix": "tools.nix_offline",
        "dist": "tools.dist",
        "recordings": "tools.recordings",
        "bench": "tools.bench",
        "schemas": "tools.schemas",
        "foreign": "tests.foreign",
    }
    if command in modules:
        if command == "test" and not rest:
            rest = spread_over_cores()
        os.chdir(ROOT)
        return replace_process(environment / "bin" / "python", "-m", modules[command], *rest)
    return replace_process(environment / "bin" / "yoi-runtime", *(["--help"] if command == "help" else arguments))


def spread_over_cores() -> list[str]:
    """Return pytest's arguments to keep all cores busy: many tests wait for a while, so there are more processes than cores."""
    cores = os.cpu_count() or 1
    return ["-n", str(cores + (cores + 1) // 2), "--dist", "worksteal"]


def say(text: str) -> None:
    """Speak to the person, on stderr: stdout belongs to the command."""
    print(f"dev.py: {text}", file=sys.stderr, flush=True)


def replace_process(program: Path, *arguments: str) -> int:
    """Become the program, so that signals, terminal and exit status are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(program, [str(program), *arguments])


# The environment


def check_python() -> None:
    """Raise SetUpError when this Python is too old or cannot make an environment."""
    here = f"{sys.executable} is Python {sys.version_info[0]}.{sys.version_info[1]}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        raise SetUpError(f"needs Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or later; {here}")
    if os.name != "posix":
        raise SetUpError("works on Linux and macOS; on Windows use WSL")
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise SetUpError(
            f"python3-venv is missing; {here} and has no venv with pip. "
            "On Debian and Ubuntu: apt install python3-venv. Then run this again"
        )


def ready_environment(first: Path | None = None, lock: Path | None = None) -> Path:
    """Return the directory of an environment that is true to ``lock``; make it first when there is none.

    It is ``first``, or where that is another Python's, one beside it.

    Raises:
        SetUpError: it cannot be made. What is half made is made anew next time.
    """
    first, lock = first or ENVIRONMENT, lock or LOCK
    wanted = Stamp.wanted(first, lock)
    second = first.with_name(f"{first.name}-{wanted.python}")
    for environment in (first, second):
        if Stamp.of(environment) == wanted:
            return environment
    with set_up_lock():
        # Of another Python, and whole: leave it to that one.
        held = Stamp.of(first)
        environment = second if held is not None and held.python != wanted.python else first
        found = Stamp.of(environment)
        if found != wanted:
            make_environment(environment, lock, found, wanted)
    return environment


class Stamp(NamedTuple):
    """What an environment was made from. Written last: an environment without one is not whole."""

    python: str
    packages: str
    project: str

    @classmethod
    def wanted(cls, place: Path, lock: Path) -> Stamp:
        """Return the stamp of an environment at ``place`` true to ``lock`` and to the tree as it is now."""
        import tomllib  # not at the top: an old Python has none, and is to be told so

        # Only what the installed metadata is made from: an edited lint rule needs no new environment.
        settings = tomllib.loads(PYPROJECT.read_text("utf-8"))
        project = [settings.get("build-system"), settings.get("project"), settings.get("tool", {}).get("hatch")]
        return cls(
            f"{sys.version_info[0]}.{sys.version_info[1]}",
            # With its place: an environment that was copied or moved runs the code of the old one.
            hashlib.sha256(lock.read_bytes() + bytes(place)).hexdigest(),
            hashlib.sha256(json.dumps(project, sort_keys=True).encode()).hexdigest(),
        )

    @classmethod
    def of(cls, environment: Path) -> Stamp | None:
        """Return the stamp of a whole environment, None when it is missing, half made or its Python is gone."""
        try:
            lines = (environment / ".ready").read_text("utf-8").split()
        except OSError:
            return None
        if len(lines) != 3 or not (environment / "bin" / "python").exists():
            return None
        return cls(*lines)


@contextlib.contextmanager
def set_up_lock() -> Iterator[None]:
    """Let one process set up at a time; the others wait. A killed process holds nothing, but its venv or pip may live on.

    So they inherit the lock (``run_set_up``) and hold it until they have written their last file.
    """
    import fcntl  # not at the top: Windows has none, and is to be told so

    with SET_UP_LOCK.open("w") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is making the environment; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_environment(environment: Path, lock: Path, found: Stamp | None, wanted: Stamp) -> None:
    """Make the environment, or bring it up to date, and stamp it."""
    keep = found is not None and (found.python, found.packages) == (wanted.python, wanted.packages)
    if keep:
        say(f"pyproject.toml changed: installing yoi-runtime into {environment.name} again")
    elif environment.exists():
        say(f"making {environment.name} anew, for it does not match tools/{lock.name} (about 20 s)")
    else:
        say(f"first run: making {environment.name} (about 20 s)")
    with contextlib.suppress(FileNotFoundError):
        (environment / ".ready").unlink()
    if not keep:
        make_venv(environment)
        pip_install(environment, "--require-hashes", "--only-binary=:all:", "--requirement", str(lock))
    # The build back end is in the lock too; without isolation pip takes that one and fetches nothing.
    pip_install(environment, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    (environment / ".ready").write_text("\n".join(wanted), "utf-8")


def make_venv(directory: Path) -> None:
    run_set_up([sys.executable, "-m", "venv", "--clear", "--prompt", ROOT.name, str(directory)])


def pip_install(environment: Path, *arguments: str) -> None:
    python = str(environment / "bin" / "python")
    run_set_up([python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *arguments])


def run_set_up(command: list[str]) -> None:
    """Run a step of the set-up; what it says goes to stderr.

    Raises:
        SetUpError: it failed.
    """
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, close_fds=False, check=False).returncode:
        raise SetUpError(f"failed: {shlex.join(command)}\nIts words are above. The next run begins anew")


# Commands


def lint(environment: Path, arguments: list[str]) -> int:
    """Run every linter, also after one has failed, and return 1 when any did."""
    if arguments not in ([], ["--fix"]):
        say(f"lint takes --fix and nothing else, not: {shlex.join(arguments)}")
        return 2
    fix = bool(arguments)
    programs = environment / "bin"
    checks: dict[str, list[str | Path]] = {
        "ruff check": [programs / "ruff", "check", *(["--fix"] if fix else [])],
        "ruff format": [programs / "ruff", "format", *([] if fix else ["--check"])],
        "mypy": [programs / "mypy"],
        "import-linter": [programs / "lint-imports", "--no-logo"],
    }
    failed = []
    for name, command in checks.items():
        print(f"--- {name}", flush=True)
        if subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode != 0:
            failed.append(name)
    print(f"--- lint: {'failed: ' + ', '.join(failed) if failed else 'all passed'}", flush=True)
    return 1 if failed else 0


def lock(arguments: list[str]) -> int:
    """Write the locks: everything to run, test, lint and build, the lowest of what runs and tests, and the peers of the benches.

    Each is for every system and Python.

    Keeps the versions that are locked and still fit, unless ``--upgrade`` is among the arguments.
    """
    import tomllib

    settings = tomllib.loads(PYPROJECT.read_text("utf-8"))
    groups = [f"--group={name}" for name in sorted(settings["dependency-groups"])]
    with tempfile.TemporaryDirectory(prefix="yoi-lock-") as directory:
        scratch = Path(directory)
        make_venv(scratch / "venv")
        pip_install(scratch / "venv", "--only-binary=:all:", UV)
        build = scratch / "build-system.txt"
        build.write_text("".join(f"{line}\n" for line in settings["build-system"]["requires"]), "utf-8")
        wanted: dict[Path, list[str | Path]] = {
            LOCK: [PYPROJECT.name, build, "--all-extras", *groups],
            LOWEST_LOCK: [PYPROJECT.name, build, "--all-extras", "--group=test", "--resolution=lowest-direct"],
            BENCH_LOCK: [BENCH_LOCK.with_suffix(".in")],
        }
        return max([compile_lock(scratch, lock, sources, arguments) for lock, sources in wanted.items()])


def compile_lock(scratch: Path, lock: Path, sources: list[str | Path], arguments: list[str]) -> int:
    """Have uv in ``scratch`` write one lock; one that it cannot make, or makes wrong, stays as it was."""
    name = lock.relative_to(ROOT)
    # An index or a folder of this machine has no place in a file that is for all.
    local = ("UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX", "UV_INDEX_URL", "UV_NO_INDEX")
    variables = {name: value for name, value in os.environ.items() if name not in local}
    output = scratch / lock.name
    output.unlink(missing_ok=True)
    if lock.exists():
        shutil.copy(lock, output)
    command: list[str | Path] = [
        *(scratch / "venv" / "bin" / "uv", "--no-config", "pip", "compile", *sources),
        *("--universal", "--generate-hashes", "--only-binary=:all:"),
        *("--python-version", ".".join(map(str, OLDEST_PYTHON)), "--no-annotate", "--quiet"),
        *("--custom-compile-command", "python3 tools/dev.py lock", "--output-file", output),
        *arguments,
    ]
    if subprocess.run(command, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, check=False).returncode != 0:
        say(f"uv could not make the lock; its words are above. {name} is as it was")
        return 1
    text = output.read_text("utf-8")
    if "://" in text or str(scratch) in text:
        say(f"the new lock would name an address or a path of this machine. {name} is as it was")
        return 1
    lock.write_text(text, "utf-8")
    print(f"{name}: {text.count('==')} packages")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
