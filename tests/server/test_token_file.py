from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.codebase.tree import ROOT
from yoi_runtime.errors import SecretFileError, TokenNotFoundError
from yoi_runtime.server import token_file
from yoi_runtime.server.token_file import MAX_TOKENS, add_token, digest_of, read_token_file, revoke_token

LATER = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def added(path: Path, label: str = "", workers: tuple[str, ...] = (), expires_at: datetime | None = None) -> str:
    return add_token(path, label=label, workers=workers, expires_at=expires_at)[0]


def write(path: Path, **fields: Any) -> Path:
    entry = {"id": "a", "sha256": "0" * 64, "created_at": "2026-01-01T00:00:00Z"} | fields.pop("entry", {})
    whole = {"format": "yoi-tokens", "version": 1, "tokens": [entry]} | fields
    path.write_text(json.dumps(whole))
    path.chmod(0o600)
    return path


def test_a_token_is_random_and_a_scanner_can_find_it(tmp_path: Path):
    tokens = {added(tmp_path / "t.json") for _ in range(50)}
    assert len(tokens) == 50
    assert all(re.fullmatch(r"yoi_[A-Za-z0-9_-]{43}", token) for token in tokens)


def test_the_file_is_its_owners_alone_and_holds_no_token(tmp_path: Path):
    path = tmp_path / "t.json"
    old = os.umask(0)
    try:
        tokens = [added(path, label="one"), added(path, "two", ("a", "b"), LATER)]
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert not any(token in text or token[4:20] in text for token in tokens)
    entries, _ = read_token_file(path)
    assert [(entry.label, entry.workers, entry.expires_at) for entry in entries] == [
        ("one", None, None),
        ("two", {"a", "b"}, LATER),
    ]
    assert [bytes.fromhex(entry.sha256) for entry in entries] == [digest_of(token) for token in tokens]
    # Nothing of the writing is left, and an entry shows its digest to no log.
    assert sorted(name.name for name in tmp_path.iterdir()) == [".t.json.lock", "t.json"]
    assert entries[0].sha256 not in repr(entries[0])


def test_a_token_expires_at_its_time_and_not_before(tmp_path: Path):
    added(tmp_path / "t.json", expires_at=LATER)
    (entry,), _ = read_token_file(tmp_path / "t.json")
    assert not entry.is_expired(LATER - timedelta(seconds=1))
    assert entry.is_expired(LATER)


def test_revoking_goes_by_id_and_by_a_label_that_is_one_tokens(tmp_path: Path):
    path = tmp_path / "t.json"
    for label in ("x", "same", "same"):
        added(path, label=label)
    x, one, two = (entry.id for entry in read_token_file(path)[0])
    with pytest.raises(TokenNotFoundError) as raised:
        revoke_token(path, "same")
    assert raised.value.token_ids == (one, two)
    with pytest.raises(TokenNotFoundError) as raised:
        revoke_token(path, "nobody")
    assert raised.value.token_ids == ()
    assert revoke_token(path, "x").id == x
    assert revoke_token(path, two).id == two
    assert [entry.id for entry in read_token_file(path)[0]] == [one]
    assert revoke_token(path, "same").id == one
    assert read_token_file(path)[0] == ()


def test_processes_that_add_at_once_lose_nothing(tmp_path: Path):
    path = tmp_path / "t.json"
    code = (
        "import sys; from pathlib import Path; from yoi_runtime.server.token_file import add_token\n"
        "for n in range(10): add_token(Path(sys.argv[1]), label=f'{sys.argv[2]}{n}', workers=(), expires_at=None)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path), name], cwd=ROOT) for name in "abcd"]
    assert [process.wait(60) for process in processes] == [0] * 4
    labels = {entry.label for entry in read_token_file(path)[0]}
    assert labels == {f"{name}{n}" for name in "abcd" for n in range(10)}


def test_a_link_stays_a_link(tmp_path: Path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "t.json"
    link.symlink_to(tmp_path / "real" / "t.json")
    added(tmp_path / "real" / "t.json")
    added(link)
    assert link.is_symlink()
    assert len(read_token_file(link)[0]) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_list_that_root_changes_stays_its_owners(tmp_path: Path):
    path = tmp_path / "t.json"
    added(path)
    os.chown(path, 4711, 4712)
    with pytest.raises(SecretFileError, match="belongs to user 4711"):
        read_token_file(path)
    # Root reads it by name of its owner: as that user would.
    os.chown(path, 0, 0)
    added(path)
    assert path.stat().st_uid == 0


def test_when_the_disk_refuses_the_list_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "t.json"
    added(path)
    before = path.read_bytes()

    def refuse(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(SecretFileError, match="cannot be written: No space"):
        added(path)
    assert path.read_bytes() == before
    assert sorted(name.name for name in tmp_path.iterdir()) == [".t.json.lock", "t.json"]


def test_there_is_an_end_to_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(token_file, "MAX_TOKENS", 2)
    added(tmp_path / "t.json")
    added(tmp_path / "t.json")
    with pytest.raises(ValueError, match="revoke some"):
        added(tmp_path / "t.json")
    assert MAX_TOKENS == 1_000


@pytest.mark.parametrize("label", ["x" * 65, "a\nb", "\x1b[31m", "\x85"])
def test_a_label_is_short_and_harmless(tmp_path: Path, label: str):
    with pytest.raises(ValueError, match="label"):
        added(tmp_path / "t.json", label=label)
    assert not (tmp_path / "t.json").exists()


BROKEN: dict[str, dict[str, Any]] = {
    "another format": {"format": "other"},
    "a newer version": {"version": 2},
    "an unknown member": {"scopes": []},
    "an unknown member of a token": {"entry": {"only_from": "10.0.0.0/8"}},
    "no digest": {"entry": {"sha256": ""}},
    "a digest with a line end": {"entry": {"sha256": "0" * 64 + "\n"}},
    "an upper case digest": {"entry": {"sha256": "A" * 64}},
    "no Worker": {"entry": {"workers": []}},
    "what is no Worker": {"entry": {"workers": ["../a"]}},
    "a Worker with a line end": {"entry": {"workers": ["a\n"]}},
    "a time without a zone": {"entry": {"expires_at": "2030-01-01T00:00:00"}},
    "what is no time": {"entry": {"expires_at": "never"}},
    "no list": {"tokens": {}},
    "too many": {"tokens": [{}] * (MAX_TOKENS + 1)},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_list_that_says_what_we_do_not_know_is_refused_and_not_quoted(tmp_path: Path, name: str):
    path = write(tmp_path / "t.json", **BROKEN[name])
    with pytest.raises(SecretFileError, match="not a list of tokens") as raised:
        read_token_file(path)
    assert "10.0.0.0" not in str(raised.value)


def test_what_is_twice_is_refused(tmp_path: Path):
    entry = {"id": "a", "sha256": "0" * 64, "created_at": "2026-01-01T00:00:00Z"}
    for other, word in (({"sha256": "1" * 64}, "id"), ({"id": "b"}, "token")):
        with pytest.raises(SecretFileError, match=f"same {word} twice"):
            read_token_file(write(tmp_path / "t.json", tokens=[entry, entry | other]))


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "\ufeff{}", "x" * 100])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "t.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SecretFileError):
        read_token_file(path)


def test_a_token_in_the_place_of_the_list_is_told(tmp_path: Path):
    path = tmp_path / "t"
    path.write_text(added(tmp_path / "t.json"))
    path.chmod(0o600)
    with pytest.raises(SecretFileError, match="is a token itself") as raised:
        read_token_file(path)
    assert path.read_text() not in str(raised.value)
