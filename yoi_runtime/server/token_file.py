"""The list of tokens that a server lets in: what stands in the file, and how it is changed.

Format: docs/access.md, "The token file". It holds digests, never a token: who reads it can let nobody in,
who can write it lets in whom he likes. It is replaced as a whole, so a server that reads it meanwhile gets the old
list or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from yoi_runtime.errors import SecretFileError, TokenNotFoundError
from yoi_runtime.server.secret_file import FileStamp, read_secret_file

__all__ = [
    "MAX_LABEL_CHARACTERS",
    "MAX_TOKENS",
    "TOKEN_PREFIX",
    "TokenEntry",
    "add_token",
    "digest_of",
    "read_token_file",
    "revoke_token",
]

# Fixed, so that a scanner finds a token that was committed or pasted: yoi_ and 43 characters of base64url.
TOKEN_PREFIX = "yoi_"  # noqa: S105 - what every token begins with
_TOKEN_RANDOM_BYTES = 32
# All of them are compared at every handshake.
MAX_TOKENS = 1_000
MAX_LABEL_CHARACTERS = 64
_MAX_FILE_BYTES = 4 << 20
_WHAT = "the token file"

_WorkerId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class TokenEntry(BaseModel):
    """One token of the list. ``workers``: whose events it may read, None for everything; ``expires_at``: None for never."""

    # Unknown members are refused: one that we do not know may be a bound that we would not keep.
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    label: Annotated[str, StringConstraints(max_length=MAX_LABEL_CHARACTERS, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")] = ""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(repr=False)
    workers: Annotated[frozenset[_WorkerId], Field(min_length=1)] | None = None
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and now >= self.expires_at


class _TokenList(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal["yoi-tokens"]
    version: Literal[1]
    tokens: Annotated[list[TokenEntry], Field(max_length=MAX_TOKENS)]


def digest_of(token: str) -> bytes:
    """Return the digest under which a token is kept. A token is random, so a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def read_token_file(path: Path) -> tuple[tuple[TokenEntry, ...], FileStamp]:
    """Return the tokens of the file, and its stamp.

    Raises:
        SecretFileError: it cannot be used; says what to do. Nothing of its content is quoted.
    """
    data, stamp = read_secret_file(path, _MAX_FILE_BYTES, _WHAT)
    return _parse(path, data), stamp


def add_token(path: Path, *, label: str, workers: Sequence[str], expires_at: datetime | None) -> tuple[str, TokenEntry]:
    """Add a new token to the file, made when missing, and return it: it is shown nowhere again. May block.

    ``workers``: empty for everything.

    Raises:
        SecretFileError: the file cannot be used or written; it is as it was.
        ValueError: the label is too long or has control characters in it, or there are too many tokens.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_RANDOM_BYTES)
    with _held(path):
        entries = read_token_file(path)[0] if path.exists() else ()
        if len(entries) >= MAX_TOKENS:
            raise ValueError(f"there are {MAX_TOKENS:,} tokens already; revoke some")
        try:
            entry = TokenEntry(
                id=_new_id({entry.id for entry in entries}),
                label=label,
                sha256=digest_of(token).hex(),
                workers=frozenset(workers) or None,
                created_at=datetime.now(UTC).replace(microsecond=0),
                expires_at=expires_at,
            )
        except ValidationError:
            raise ValueError(
                f"a label has at most {MAX_LABEL_CHARACTERS} characters, and no control characters"
            ) from None
        _replace(path, (*entries, entry))
    return token, entry


def revoke_token(path: Path, name: str) -> TokenEntry:
    """Take the token with this id, or else with this label, off the list, and return what stood there. May block.

    Raises:
        TokenNotFoundError: there is none, or several have the label.
        SecretFileError: the file cannot be used or written; it is as it was.
    """
    with _held(path):
        entries = read_token_file(path)[0]
        found = [entry for entry in entries if entry.id == name] or [entry for entry in entries if entry.label == name]
        if len(found) != 1:
            raise TokenNotFoundError(path, name, tuple(entry.id for entry in found))
        _replace(path, [entry for entry in entries if entry is not found[0]])
    return found[0]


def _parse(path: Path, data: bytes) -> tuple[TokenEntry, ...]:
    if data.startswith(TOKEN_PREFIX.encode()):
        raise SecretFileError(
            path, f"{_WHAT} is a token itself, not a list of tokens; make one: yoi-runtime token create"
        )
    try:
        entries = tuple(_TokenList.model_validate_json(data).tokens)
    except ValidationError as error:
        # It brings the events, which a command line that only checks its options does without.
        from yoi_runtime.events.complaint import first_complaint

        raise SecretFileError(path, f"{_WHAT} is not a list of tokens: {first_complaint(error)}") from None
    for what, values in (("id", [entry.id for entry in entries]), ("token", [entry.sha256 for entry in entries])):
        if len(set(values)) < len(values):
            raise SecretFileError(path, f"{_WHAT} has the same {what} twice")
    return entries


def _new_id(taken: set[str]) -> str:
    while True:
        token_id = f"t-{secrets.token_hex(4)}"
        if token_id not in taken:
            return token_id


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Keep others from changing the file meanwhile. The lock is a file beside it, which is never exchanged."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SecretFileError(path, f"{_WHAT} cannot be changed: {lock.name}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _replace(path: Path, entries: Sequence[TokenEntry]) -> None:
    """Write the list under another name and rename it: whoever reads gets the old one or this one, whole."""
    text = _TokenList(format="yoi-tokens", version=1, tokens=list(entries)).model_dump_json(indent=2) + "\n"
    # Through a link: the file it leads to is the one that is replaced.
    target = path.resolve()
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _keep_owner(fd, target)
            with open(fd, "w", encoding="utf-8", closefd=False) as file:
                file.write(text)
            os.fsync(fd)
        finally:
            os.close(fd)
        aside.replace(target)
        directory = os.open(target.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise SecretFileError(path, f"{_WHAT} cannot be written: {error.strerror}") from error


def _keep_owner(fd: int, target: Path) -> None:
    """Leave the list to whom it belongs, when root changes it for the user of a service."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return
    if found.st_uid != os.geteuid():
        os.fchown(fd, found.st_uid, found.st_gid)
