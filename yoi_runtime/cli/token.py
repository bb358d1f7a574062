"""``yoi-runtime token``: makes, shows and revokes the tokens of a list. A server takes the change over by itself."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from yoi_runtime.cli.exit_codes import ExitCode, say
from yoi_runtime.cli.terminal_text import one_line
from yoi_runtime.server.token_file import TokenEntry, add_token, read_token_file, revoke_token

__all__ = ["create_token", "list_tokens", "parse_expiry", "revoke"]

_MOST_SECONDS = 100 * 365 * 86_400


def parse_expiry(seconds: float) -> timedelta:
    """Return how long a token is to be good. Raises ``ValueError``: for longer than anybody lives."""
    if seconds > _MOST_SECONDS:
        raise ValueError("that is more than a hundred years; leave it out for a token that does not expire")
    return timedelta(seconds=seconds)


def create_token(
    path: Path, label: str, workers: Sequence[str], expires_in: timedelta | None, output: Path | None = None
) -> int:
    """Print a new token on stdout, once and alone on its line, or write it to ``output``; return the exit code.

    Raises:
        SecretFileError: the list cannot be used or written.
        OSError: ``output`` cannot be made, or is there already; no token was made.
        ValueError: the label cannot be one, or there are too many tokens.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    # First: a token that cannot be handed over must not be made.
    fd = None if output is None else os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        expires_at = None if expires_in is None else now + expires_in
        token, entry = add_token(path, label=label, workers=workers, expires_at=expires_at)
        if fd is None:
            print(token, flush=True)
        else:
            os.write(fd, f"{token}\n".encode())
    except BaseException:
        if output is not None:
            output.unlink(missing_ok=True)
        raise
    finally:
        if fd is not None:
            os.close(fd)
    say(f"made token {entry.id} for {_scope(entry)}, {_expiry(entry, now)}; it is not shown again")
    return ExitCode.OK


def list_tokens(path: Path, *, as_json: bool) -> int:
    """Print the tokens of the list, of which it holds no secret; return the exit code. Raises ``SecretFileError``."""
    entries, _ = read_token_file(path)
    now = datetime.now(UTC)
    if as_json:
        for entry in entries:
            fields = entry.model_dump(mode="json", exclude={"sha256"})
            fields["workers"] = None if entry.workers is None else sorted(entry.workers)
            print(json.dumps({**fields, "expired": entry.is_expired(now)}, ensure_ascii=False))
        return ExitCode.OK
    rows = [("ID", "SCOPE", "CREATED", "EXPIRES", "LABEL")] + [
        (entry.id, _scope(entry), _day(entry.created_at), _expiry(entry, now), one_line(entry.label))
        for entry in entries
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[-1]]).rstrip())
    return ExitCode.OK


def revoke(path: Path, name: str) -> int:
    """Take a token off the list; return the exit code.

    Raises:
        TokenNotFoundError: there is none of this id or label, or several.
        SecretFileError: the list cannot be used or written.
    """
    entry = revoke_token(path, name)
    say(f"revoked token {entry.id} for {_scope(entry)}; a running server ends its streams within seconds")
    return ExitCode.OK


def _scope(entry: TokenEntry) -> str:
    return "everything" if entry.workers is None else ",".join(sorted(entry.workers))


def _expiry(entry: TokenEntry, now: datetime) -> str:
    if entry.expires_at is None:
        return "never expires"
    return f"{'expired' if entry.is_expired(now) else 'expires'} {_day(entry.expires_at)}"


def _day(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
