"""Build and check the flake where nixpkgs cannot be fetched: ``python3 tools/dev.py nix``.

``nix/offline`` stands in for nixpkgs: the Python that runs this, and wheels by tools/requirements.lock, downloaded
here by hash. Nix itself is Debian's nix-bin, installed when it is missing and this runs as root. What that proves, and
what it cannot, is in docs/packaging.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "tools" / "requirements.lock"
STAND_IN = ROOT / "nix" / "offline"
WHEELS = STAND_IN / "wheels"
PROGRAMS = ["yoi-log", "yoi-runtime"]

# Sandboxed builds need this machine's shell, and its Python with all that belongs to it.
_SANDBOX_PATHS = ["/bin", "/usr", "/lib", "/lib64", "/etc"]


class NixError(Exception):
    """The flake does not hold, or cannot be tried; the text says why."""


def main(arguments: list[str] | None = None) -> int:
    """Run every check, or one command of Nix with the stand-in for nixpkgs; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python3 tools/dev.py nix",
        description="Build and check the flake without a network. Takes about two minutes.",
        epilog="With arguments: that command of Nix, for instance `flake show`, `build .#yoi`, `run .#yoi -- --help`.",
    )
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="...", help="a command of Nix instead of the checks"
    )
    command = parser.parse_args(arguments).command
    try:
        make_wheelhouse()
        if command:
            return subprocess.run(nix_command(*command), cwd=ROOT, env=nix_environment(), check=False).returncode
        check()
    except NixError as error:
        print(f"nix: {error}", file=sys.stderr)
        return 1
    return 0


def check() -> None:
    """Evaluate and build every output and look at what came out.

    Raises:
        NixError: something is not as it should be.
    """
    system = f"{platform.machine().replace('arm64', 'aarch64')}-{sys.platform}"
    say("the flake evaluates, its outputs have the right shape, and its checks build; they run the tests")
    nix("flake", "check", "--print-build-logs")
    say("nix build .#yoi --no-link")
    built = json.loads(nix("build", ".#yoi", "--no-link", "--json"))
    look_at_programs(Path(built[0]["outputs"]["out"]))
    say("the service starts what the package has")
    look_at_service(system, built[0]["outputs"]["out"])
    say("all of it holds, against the stand-in for nixpkgs (docs/packaging.md says what that proves)")


def look_at_programs(package: Path) -> None:
    """Raise NixError unless the package has its programs and each says its version."""
    found = sorted(path.name for path in (package / "bin").iterdir())
    if found != PROGRAMS:
        raise NixError(f"the package has {', '.join(found)} on bin, not {', '.join(PROGRAMS)}")
    for name in PROGRAMS:
        said = run([str(package / "bin" / name), "--version"])
        print(said.strip())
        if version() not in said:
            raise NixError(f"{name} says {said.strip()!r}, pyproject.toml has {version()}")


def look_at_service(system: str, package: str) -> None:
    """Raise NixError unless nix/module.nix starts the package's program, with options that it has."""
    settings = (
        '{ enable = true; workers.clock = "clock --json"; durability = "written"; '
        'settings = { cache_bytes = "1MiB"; workers.old.command = "old"; }; '
        'workers.coder = { command = [ "agent" "--json" ]; restart = "always"; environment.A = "1"; }; '
        'extraArguments = [ "--adapter" "jsonl" "--allow-host" "it\'s %h $HOME" ]; tokenFile = "/etc/tokens.json"; }'
    )
    flake = f'{{ packages.{system}.yoi = {{ outPath = "{package}"; meta.mainProgram = "yoi-runtime"; }}; }}'
    expression = (
        f'(import {STAND_IN}/module.nix {{ flake = {flake}; system = "{system}"; settings = {settings}; }}).ExecStart'
    )
    # Impure, for it reads a file of this directory by its path.
    words = shlex.split(json.loads(nix("eval", "--impure", "--json", "--expr", expression)))
    print(shlex.join(words).replace(package, "$out"))
    if words[:2] != [f"{package}/bin/yoi-runtime", "serve"]:
        raise NixError(f"the service runs {shlex.join(words)}")
    options = run([words[0], "serve", "--help"])
    for word in words:
        if word.startswith("--") and word not in options:
            raise NixError(f"the service passes {word}, which `yoi-runtime serve` does not have")
    # To systemd %% and $$ are % and $: what was given, while %d is where it keeps credentials.
    given = ["--adapter", "jsonl", "--allow-host", "it's %%h $$HOME", "--token-file", "%d/tokens"]
    if words[2] != "--config" or words[4:] != given:
        raise NixError(f"the service does not pass its settings on: {shlex.join(words)}")
    run([words[0], "config", "check", words[3]])
    written = tomllib.loads(Path(words[3]).read_text("utf-8"))
    said = (written.get("durability"), written.get("cache_bytes"), written.get("workers"))
    coder = {"command": ["agent", "--json"], "restart": "always", "environment": {"A": "1"}}
    workers = {"old": {"command": "old"}, "clock": {"command": "clock --json"}, "coder": coder}
    if said != ("written", "1MiB", workers):
        raise NixError(f"the service's configuration file says {written}")


# Nix


def nix(*arguments: str) -> str:
    """Run a command of Nix against the stand-in; return what it printed."""
    return run(nix_command(*arguments))


def nix_command(*arguments: str) -> list[str]:
    """Return a command of Nix with the stand-in in the place of nixpkgs. The lock is not touched."""
    program = shutil.which("nix") or install_nix()
    # `nix run .#yoi -- ARGUMENTS`: what follows is the program's.
    own = arguments.index("--") if "--" in arguments else len(arguments)
    override = [] if "eval" in arguments[:1] else ["--override-input", "nixpkgs", f"path:{STAND_IN}"]
    return [program, *arguments[:own], *override, *arguments[own:]]


def nix_environment() -> dict[str, str]:
    """Return the environment for Nix: no network, no settings of this machine, builds in a sandbox."""
    prefix = str(Path(sys.base_prefix).resolve())
    paths = _SANDBOX_PATHS if prefix == "/usr" else [*_SANDBOX_PATHS, prefix]
    settings = [
        "experimental-features = nix-command flakes",
        # Debian's package makes no group of builders.
        "build-users-group =",
        # Two packages are built, each for long with one core: side by side.
        "max-jobs = auto",
        "substituters =",
        "sandbox = true",
        f"sandbox-paths = {' '.join(path for path in paths if Path(path).exists())}",
        "warn-dirty = false",
    ]
    # Git refuses a tree of somebody else, as one in a container often is; it is only read here.
    git = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    return {**os.environ, **git, "NIX_CONFIG": "\n".join(settings)}


def install_nix() -> str:
    """Install Debian's Nix and return the program.

    Raises:
        NixError: this is not a Debian, not root, or apt refused.
    """
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise NixError("there is no `nix` here. Install it (Debian, Ubuntu: apt install nix-bin) and run this again")
    say("installing nix-bin")
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", "--no-install-recommends", "nix-bin"]):
        run(command, environment={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    program = shutil.which("nix")
    if program is None:
        raise NixError("nix-bin was installed and there is no `nix`")
    return program


# The wheels


def make_wheelhouse() -> None:
    """Download the wheels of the lock for this Python, unless they are there; the stand-in evaluates to nothing else."""
    python = Path(sys.base_prefix).resolve() / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    stamp = f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()} {python}\n"
    marker = STAND_IN / ".wheels-ready"
    if marker.exists() and marker.read_text("utf-8") == stamp and (WHEELS / "PYTHON").exists():
        return
    say("downloading the wheels of tools/requirements.lock")
    marker.unlink(missing_ok=True)
    if WHEELS.exists():
        shutil.rmtree(WHEELS)
    WHEELS.mkdir()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    run([*pip, "--require-hashes", "--only-binary=:all:", "--dest", str(WHEELS), "--requirement", str(LOCK)])
    # `python -m venv` of this one brings pip.
    (WHEELS / "PYTHON").write_text(f"{python}\n", "utf-8")
    marker.write_text(stamp, "utf-8")


# Small things


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a command, let its complaints through, and return what it printed.

    Raises:
        NixError: it failed.
    """
    variables = environment if environment is not None else nix_environment()
    result = subprocess.run(
        command, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
    )
    if result.returncode != 0:
        sys.stdout.write(result.stdout)
        raise NixError(f"failed with status {result.returncode}: {shlex.join(command)}")
    return result.stdout


def version() -> str:
    """Return the version that pyproject.toml states."""
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return str(settings["project"]["version"])


def say(text: str) -> None:
    """Say what comes next."""
    print(f"--- nix: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
