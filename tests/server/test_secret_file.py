from __future__ import annotations

import os
from pathlib import Path

import pytest

from yoi_runtime.errors import SecretFileError
from yoi_runtime.server.secret_file import read_secret_file, stamp_of


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(b"content")
    path.chmod(0o600)
    return path


def found_as(monkeypatch: pytest.MonkeyPatch, *, uid: int, mode: int) -> None:
    """Let the file look as if it were of another user: only root could make it so."""
    real = os.fstat

    def fstat(fd: int) -> os.stat_result:
        fields = list(real(fd))
        fields[0] = 0o100000 | mode
        fields[4] = uid
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", fstat)


def test_what_is_its_owners_alone_is_read(secret: Path):
    data, stamp = read_secret_file(secret, 100, "the file")
    assert data == b"content"
    assert stamp == stamp_of(secret)


@pytest.mark.parametrize("mode", [0o601, 0o602, 0o604, 0o610, 0o620, 0o640, 0o666, 0o777])
def test_what_others_may_read_or_write_is_refused_with_what_to_do(
    secret: Path, mode: int, monkeypatch: pytest.MonkeyPatch
):
    found_as(monkeypatch, uid=4711, mode=mode)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(SecretFileError, match=f"mode {mode:04o}.*chmod 600") as raised:
        read_secret_file(secret, 100, "the file")
    assert raised.value.path == secret
    assert "content" not in str(raised.value)


@pytest.mark.parametrize(
    "mode, good", [(0o400, True), (0o600, True), (0o440, True), (0o640, True), (0o660, False), (0o644, False)]
)
def test_of_roots_own_a_group_may_read(secret: Path, mode: int, good: bool, monkeypatch: pytest.MonkeyPatch):
    found_as(monkeypatch, uid=0, mode=mode)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    if good:
        assert read_secret_file(secret, 100, "the file")[0] == b"content"
    else:
        with pytest.raises(SecretFileError, match="open to others"):
            read_secret_file(secret, 100, "the file")


def test_another_users_file_is_refused(secret: Path, monkeypatch: pytest.MonkeyPatch):
    found_as(monkeypatch, uid=1234, mode=0o600)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(SecretFileError, match=r"belongs to user 1234.*chown 4711"):
        read_secret_file(secret, 100, "the file")


def test_what_is_no_plain_file_is_refused_and_nobody_waits_at_a_pipe(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path in (pipe, tmp_path):
        with pytest.raises(SecretFileError, match="not a plain file"):
            read_secret_file(path, 100, "the file")


def test_what_is_not_there_or_too_large_is_refused(tmp_path: Path, secret: Path):
    with pytest.raises(SecretFileError, match="No such file"):
        read_secret_file(tmp_path / "none", 100, "the file")
    with pytest.raises(SecretFileError, match="larger than 3 bytes"):
        read_secret_file(secret, 3, "the file")


def test_a_stamp_tells_every_change_from_the_outside(secret: Path):
    seen = {stamp_of(secret)}
    secret.write_bytes(b"CONTENT")
    os.utime(secret, ns=(1, 1))
    seen.add(stamp_of(secret))
    secret.chmod(0o640)
    seen.add(stamp_of(secret))
    other = secret.with_name("other")
    other.write_bytes(b"CONTENT")
    other.replace(secret)
    seen.add(stamp_of(secret))
    assert len(seen) == 4
    assert stamp_of(secret.with_name("none")) is None
