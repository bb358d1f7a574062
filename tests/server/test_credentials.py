from __future__ import annotations

import hmac
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from yoi_runtime.errors import SecretFileError
from yoi_runtime.server import credentials as module
from yoi_runtime.server.credentials import MISSING_SECONDS, Credentials, Grant, query_credential
from yoi_runtime.server.secret_file import stamp_of
from yoi_runtime.server.token_file import add_token, read_token_file, revoke_token

NOW = datetime.now(UTC)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0
        # Far ahead of the files' times: they have settled.
        self.now = NOW + timedelta(hours=1)

    def monotonic(self) -> float:
        return self.seconds

    def utc_now(self) -> datetime:
        return self.now


class Tokens:
    """A list with three tokens, and the credentials that watch it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "tokens.json"
        self.clock = Clock()
        self.whole = self.add()
        self.scoped = self.add("a", "b")
        self.short = self.add(expires_at=self.clock.now + timedelta(seconds=10))
        self.credentials = Credentials(self.path, self.clock.monotonic, self.clock.utc_now)

    def add(self, *workers: str, expires_at: datetime | None = None) -> str:
        return add_token(self.path, label="", workers=workers, expires_at=expires_at)[0]

    def grant(self, token: str) -> Grant | None:
        return self.credentials.grant(f"Bearer {token}")

    def granted(self, token: str) -> Grant:
        grant = self.grant(token)
        assert grant is not None
        return grant


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path)


def test_a_token_grants_what_it_is_for(tokens: Tokens):
    whole, scoped = tokens.granted(tokens.whole), tokens.granted(tokens.scoped)
    assert (whole.sees_everything, whole.sees("a"), whole.sees("z")) == (True, True, True)
    assert (scoped.sees_everything, scoped.sees("a"), scoped.sees("z")) == (False, True, False)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_in_any_case(tokens: Tokens, scheme: str):
    assert tokens.credentials.grant(f"{scheme}  {tokens.whole}") is not None


def test_nothing_else_is_let_in(tokens: Tokens):
    whole = tokens.whole
    bad: list[str | None] = [
        None,
        "",
        "Bearer",
        "Bearer ",
        whole,
        f"Basic {whole}",
        f"Bearer{whole}",
        f"Bearer {whole[:-1]}",
        f"Bearer {whole}x",
        f"Bearer {whole} ",
        f" Bearer {whole}",
        f"Bearer {whole} {whole}",
        f"Bearer {whole},Bearer {whole}",
        f"Bearer {whole}\n",
        f"Bearer\t{whole}",
        f"Bearer {whole.upper()}",
        f"Bearer {whole.removeprefix('yoi_')}",
        "Bearer yoi_",
        "Bearer ünïcödé",
        "Bearer \udcff",
        "Bearer " + "x" * (1 << 20),
        *(f"Bearer {entry.sha256}" for entry in read_token_file(tokens.path)[0]),
    ]
    assert [value for value in bad if tokens.credentials.grant(value) is not None] == []


def test_each_token_of_the_list_is_compared_whichever_it_is(tokens: Tokens, monkeypatch: pytest.MonkeyPatch):
    compared: list[bytes] = []

    def compare(one: bytes, two: bytes) -> bool:
        compared.append(one)
        return hmac.compare_digest(one, two)

    monkeypatch.setattr(module, "hmac", type("Counted", (), {"compare_digest": staticmethod(compare)}))
    for token in (tokens.whole, tokens.scoped, tokens.short, "yoi_wrong"):
        compared.clear()
        tokens.grant(token)
        assert len(compared) == 3


def test_a_token_ends_with_its_time(tokens: Tokens):
    grant = tokens.granted(tokens.short)
    assert tokens.credentials.still_good(grant, None)
    tokens.clock.now += timedelta(seconds=10)
    assert tokens.grant(tokens.short) is None
    assert not tokens.credentials.still_good(grant, None)
    assert tokens.grant(tokens.whole) is not None


def test_a_change_holds_from_the_next_request_on(tokens: Tokens):
    grant = tokens.granted(tokens.whole)
    new = tokens.add()
    assert tokens.grant(new) is not None
    assert tokens.credentials.still_good(grant, None)
    revoke_token(tokens.path, grant.token_id)
    assert tokens.grant(tokens.whole) is None
    assert not tokens.credentials.still_good(grant, None)
    assert tokens.grant(new) is not None


def test_a_smaller_scope_ends_what_it_does_not_hold(tokens: Tokens):
    grant = tokens.granted(tokens.scoped)
    assert tokens.credentials.still_good(grant, "a")
    assert not tokens.credentials.still_good(grant, None)
    tokens.path.write_text(tokens.path.read_text().replace('"a"', '"c"'))
    tokens.credentials.look()
    assert not tokens.credentials.still_good(grant, "a")
    assert tokens.credentials.still_good(grant, "b")


def test_a_list_that_cannot_be_used_changes_nothing_and_is_told_once(
    tokens: Tokens, expect_log: ExpectLog, caplog: pytest.LogCaptureFixture
):
    expect_log("yoi_runtime.server", "cannot be used: .*; the old tokens stay")
    good = tokens.path.read_text()
    tokens.path.write_text(good[:100])
    for _ in range(5):
        tokens.credentials.look(thorough=True)
        assert tokens.grant(tokens.whole) is not None
    tokens.path.write_text(good)
    tokens.path.chmod(0o644)
    tokens.credentials.look()
    tokens.credentials.look()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "chmod 600" in told[1]
    assert not any(str(tokens.path) in text for text in told)
    # Mended, it is taken over again.
    tokens.path.chmod(0o600)
    revoke_token(tokens.path, tokens.granted(tokens.whole).token_id)
    assert tokens.grant(tokens.whole) is None


def test_a_list_that_is_gone_for_good_lets_nobody_in_until_it_is_back(tokens: Tokens, expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "token file is gone; unless")
    expect_log("yoi_runtime.server", "nobody is let in until")
    grant = tokens.granted(tokens.whole)
    away = tokens.path.with_name("away")
    tokens.path.rename(away)
    # An editor's moment.
    assert tokens.grant(tokens.whole) is not None
    tokens.clock.seconds += MISSING_SECONDS
    assert tokens.grant(tokens.whole) is None
    assert not tokens.credentials.still_good(grant, None)
    away.rename(tokens.path)
    assert tokens.grant(tokens.whole) is not None
    assert tokens.credentials.still_good(grant, None)


def test_a_change_within_one_tick_of_the_files_clock_is_found_by_a_thorough_look(tokens: Tokens):
    # As if it had been written just now, and again in the same moment.
    os.utime(tokens.path, (tokens.clock.now.timestamp(),) * 2)
    tokens.credentials.look()
    found = tokens.path.stat()
    text = tokens.path.read_text()
    tokens.path.write_text(text.replace(read_token_file(tokens.path)[0][0].sha256, "0" * 64))
    os.utime(tokens.path, ns=(found.st_atime_ns, found.st_mtime_ns))
    stamp = stamp_of(tokens.path)
    assert stamp is not None
    tokens.credentials._stamp = stamp  # the change of status, too, in the same tick
    assert tokens.grant(tokens.whole) is not None
    tokens.credentials.look(thorough=True)
    assert tokens.grant(tokens.whole) is None


def test_without_a_good_list_there_are_no_credentials(tmp_path: Path):
    with pytest.raises(SecretFileError):
        Credentials(tmp_path / "none.json", Clock().monotonic)


@pytest.mark.parametrize(
    "name, value",
    [
        ("access_token", "x"),
        ("token", ""),
        ("TOKEN", "x"),
        ("Authorization", "Bearer x"),
        ("api_key", "x"),
        ("cursor", "yoi_" + "A" * 43),
        ("yoi_" + "A" * 43, ""),
    ],
)
def test_a_credential_in_an_address_is_found(name: str, value: str):
    assert query_credential([("from", "now"), (name, value)]) is not None


@pytest.mark.parametrize("name, value", [("cursor", "wo1" + "A" * 60), ("from", "oldest"), ("events", "token,auth")])
def test_what_is_none_is_let_through(name: str, value: str):
    assert query_credential([(name, value)]) is None
