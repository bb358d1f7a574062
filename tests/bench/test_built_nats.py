"""The newer NATS: built once, whole or not at all, and never behind the person's back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import dev
from tools.bench import built_nats
from tools.bench.built_nats import VERSION, built_nats_program
from tools.bench.peers import PeerMissingError


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a stand-in for Go that writes down what it is asked, and builds a program that says nothing."""
    program = tmp_path / "path" / "go"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$GOTOOLCHAIN $*" >> {tmp_path}/asked\n'
        'mkdir -p "$GOBIN" "$GOPATH" && : > "$GOBIN/nats-server"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(built_nats, "DIRECTORY", tmp_path / "built")
    monkeypatch.setattr(built_nats, "_USUAL_GO", tmp_path / "none")
    monkeypatch.setattr(dev, "SET_UP_LOCK", tmp_path / ".lock")
    return program


def test_it_is_built_once_of_the_pinned_version_and_leaves_no_sources(tmp_path: Path, go: Path):
    for _ in range(2):
        program = Path(built_nats_program(install=True))
        assert program == tmp_path / "built" / VERSION / "nats-server"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == [f"local install -ldflags=-s -w github.com/nats-io/nats-server/v2@v{VERSION}"]
    assert sorted(path.name for path in (tmp_path / "built").rglob("*")) == [VERSION, "nats-server"]


def test_what_could_not_be_built_is_no_program(tmp_path: Path, go: Path):
    go.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(PeerMissingError, match="could not be built"):
        built_nats_program(install=True)
    assert not (tmp_path / "built" / VERSION / "nats-server").exists()


def test_nothing_is_built_where_that_was_not_asked_for_and_without_go(tmp_path: Path, go: Path):
    with pytest.raises(PeerMissingError, match="nothing may be installed"):
        built_nats_program(install=False)
    go.unlink()
    with pytest.raises(PeerMissingError, match="built with Go, which is missing"):
        built_nats_program(install=True)
    assert not (tmp_path / "asked").exists()
