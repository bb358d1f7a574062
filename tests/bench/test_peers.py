"""What the peers need: made once, true to the lock, never behind the person's back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.codebase.test_lock import entries, strange
from tools import dev
from tools.bench import peers


@pytest.fixture
def diary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what was made, in a tree of its own with stand-ins for venv and pip."""
    done: list[str] = []

    def make_venv(directory: Path) -> None:
        done.append("venv")
        (directory / "bin").mkdir(parents=True, exist_ok=True)
        (directory / "bin" / "python").touch()

    (tmp_path / "requirements.lock").write_text("redis==1 --hash=sha256:00\n")
    monkeypatch.setattr(peers, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setattr(peers, "ENVIRONMENT", tmp_path / ".venv-bench")
    monkeypatch.setattr(dev, "SET_UP_LOCK", tmp_path / ".venv.lock")
    monkeypatch.setattr(dev, "make_venv", make_venv)
    monkeypatch.setattr(dev, "pip_install", lambda environment, *arguments: done.append(arguments[0]))
    return done


def test_the_environment_is_made_once_and_anew_for_another_lock(diary: list[str]):
    for _ in range(2):
        assert peers.package_python(install=True) == peers.ENVIRONMENT / "bin" / "python"
        assert diary == ["venv", "--require-hashes"]
    peers.LOCK.write_text("redis==2 --hash=sha256:00\n")
    peers.package_python(install=True)
    assert diary == ["venv", "--require-hashes"] * 2


def test_an_installation_that_failed_is_begun_anew(diary: list[str], monkeypatch: pytest.MonkeyPatch):
    def fail(environment: Path, *arguments: str) -> None:
        raise dev.SetUpError("no registry")

    with monkeypatch.context() as patch:
        patch.setattr(dev, "pip_install", fail)
        with pytest.raises(peers.PeerMissingError, match="no registry"):
            peers.package_python(install=True)
    peers.package_python(install=True)
    assert diary == ["venv", "venv", "--require-hashes"]


def test_nothing_is_installed_where_that_was_not_asked_for(diary: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "environ", {**os.environ, "PATH": ""})
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: diary.append("run"))
    with pytest.raises(peers.PeerMissingError):
        peers.package_python(install=False)
    with pytest.raises(peers.PeerMissingError, match="apt install redis-server"):
        peers.redis_program(install=False)
    assert diary == []


def test_a_redis_that_does_not_start_says_why(tmp_path: Path):
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho 'no such option'\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(peers.PeerMissingError, match="no such option"), peers.redis_server(str(program), tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["redis-server"]


def test_a_redis_runs_for_as_long_as_it_is_needed(tmp_path: Path):
    program = tmp_path / "redis-server"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\necho '* Ready to accept connections'\nexec sleep 60\n")
    program.chmod(0o755)
    with peers.redis_server(str(program), tmp_path) as port:
        assert 0 < port < 65536
        pid = int((tmp_path / "pid").read_text())
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_lock_of_the_peers_is_made_of_hashed_pins():
    text = peers.LOCK.read_text("utf-8")
    assert strange(text) == []
    assert any(entry.startswith("redis==") for entry in entries(text))
