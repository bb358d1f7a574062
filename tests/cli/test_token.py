from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from yoi_runtime.cli.token import create_token, list_tokens, parse_expiry, revoke
from yoi_runtime.errors import SecretFileError, TokenNotFoundError
from yoi_runtime.server.token_file import digest_of, read_token_file


def test_a_token_is_printed_once_and_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "t.json"
    assert create_token(path, "backend", ["b", "a"], timedelta(days=90)) == 0
    shown = capsys.readouterr()
    token = shown.out.removesuffix("\n")
    (entry,), _ = read_token_file(path)
    assert digest_of(token).hex() == entry.sha256
    assert token not in shown.err
    assert f"made token {entry.id} for a,b, expires " in shown.err
    assert entry.expires_at is not None
    assert timedelta(days=89) < entry.expires_at - entry.created_at <= timedelta(days=90)
    assert list_tokens(path, as_json=False) == 0
    assert token not in capsys.readouterr().out


def test_a_token_goes_into_a_new_file_for_its_owner_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, output = tmp_path / "t.json", tmp_path / "token"
    old = os.umask(0)
    try:
        create_token(path, "", [], None, output)
    finally:
        os.umask(old)
    assert capsys.readouterr().out == ""
    assert output.stat().st_mode & 0o777 == 0o600
    before = output.read_bytes()
    with pytest.raises(FileExistsError):
        create_token(path, "", [], None, output)
    # Nobody's token was thrown away, and none was made that nobody has.
    assert output.read_bytes() == before
    assert len(read_token_file(path)[0]) == 1
    with pytest.raises(ValueError, match="label"):
        create_token(path, "x" * 100, [], None, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_list_shows_what_for_and_until_when(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "t.json"
    create_token(path, "first", [], None)
    create_token(path, "second", ["a"], timedelta(microseconds=1))
    capsys.readouterr()
    list_tokens(path, as_json=False)
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "SCOPE", "CREATED", "EXPIRES", "LABEL"]
    assert "everything" in first
    assert "never expires" in first
    assert first.endswith("first")
    assert " a " in second
    assert "expired" in second
    list_tokens(path, as_json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["label"], row["workers"], row["expired"]) for row in rows] == [
        ("first", None, False),
        ("second", ["a"], True),
    ]
    assert all("sha256" not in row for row in rows)


def test_revoking_says_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "t.json"
    create_token(path, "first", [], None)
    (entry,), _ = read_token_file(path)
    assert revoke(path, "first") == 0
    assert entry.id in capsys.readouterr().err
    with pytest.raises(TokenNotFoundError):
        revoke(path, entry.id)
    with pytest.raises(SecretFileError):
        revoke(tmp_path / "none.json", "first")


def test_a_lifetime_is_no_longer_than_a_hundred_years():
    assert parse_expiry(90.0) == timedelta(seconds=90)
    with pytest.raises(ValueError, match="hundred years"):
        parse_expiry(1e12)
