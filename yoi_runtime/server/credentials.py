"""Who may come in: the tokens of a file, compared in constant time, and the file as it is now.

    Authorization: Bearer yoi_…  ->  Grant  ->  still good?  at every request, and every second for running streams

The file is looked at before every handshake and once a second, and read again when it has changed. A new one that cannot
be used changes nothing but the log: a slip of an editor must not lock everybody out, and not let anybody in. A file
that is gone for two seconds lets nobody in any more: deleting it is the plainest way to say so.
Decision: docs/decisions/0031-tokens-in-a-file.md. Blocks for a stat, and for a read of a small file after a change.
"""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from yoi_runtime.errors import SecretFileError
from yoi_runtime.notices import Notice, named
from yoi_runtime.server.secret_file import FileStamp, stamp_of
from yoi_runtime.server.token_file import TokenEntry, digest_of, read_token_file

__all__ = ["MISSING_SECONDS", "Credentials", "Grant", "query_credential"]

_log = logging.getLogger("yoi_runtime.server")

# Longer than the moment in which an editor has moved the old file away and not yet written the new one.
MISSING_SECONDS = 2.0
# A file that was changed this short before it was read may change again within one tick of its clock, unnoticed.
_SETTLED_NS = 1_000_000_000
# RFC 7235: the scheme in any case, then blanks. What is behind them is a token or is none.
_BEARER = re.compile(r"bearer +([^ ]+)", re.IGNORECASE)
# RFC 6750 has access_token; the others are what people try.
_CREDENTIAL_PARAMETERS = frozenset({"access_token", "api_key", "apikey", "auth", "authorization", "bearer", "token"})
_OUR_TOKEN = re.compile(r"yoi_[A-Za-z0-9_-]{43}")


class Grant(NamedTuple):
    """What a token lets its bearer see. ``workers``: None for everything."""

    token_id: str
    digest: bytes
    workers: frozenset[str] | None

    @property
    def sees_everything(self) -> bool:
        return self.workers is None

    def sees(self, worker_id: str) -> bool:
        return self.workers is None or worker_id in self.workers


def query_credential(pairs: list[tuple[str, str]]) -> str | None:
    """Return the name of a parameter that holds a credential, None when there is none: addresses end up in logs."""
    for name, value in pairs:
        if name.lower() in _CREDENTIAL_PARAMETERS:
            return name
        if _OUR_TOKEN.search(value) or _OUR_TOKEN.search(name):
            return "that looks like a token"
    return None


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Credentials:
    """The tokens that are good now. One event loop."""

    def __init__(
        self, path: Path, monotonic_seconds: Callable[[], float], utc_now: Callable[[], datetime] = _utc_now
    ) -> None:
        """Read the list.

        Raises:
            SecretFileError: it cannot be used.
        """
        self._path = path
        self._clock = monotonic_seconds
        self._utc_now = utc_now
        entries, self._stamp = read_token_file(path)
        self._entries = _by_digest(entries)
        self._settled = self._is_settled(self._stamp)
        self._missing_since: float | None = None

    def __len__(self) -> int:
        """Return how many tokens there are, expired ones included."""
        return len(self._entries)

    def look(self, *, thorough: bool = False) -> None:
        """Take over what has changed in the file. ``thorough``: read it also when it may have changed unnoticed."""
        stamp = stamp_of(self._path)
        if stamp is None:
            self._miss()
            return
        if self._missing_since is not None:
            self._missing_since = None
        elif stamp == self._stamp and (self._settled or not thorough):
            return
        self._reload(stamp)

    def grant(self, authorization: str | None) -> Grant | None:
        """Return what the value of an ``Authorization`` header lets see, None when it is no good token's."""
        self.look()
        found = _BEARER.fullmatch(authorization or "")
        if found is None:
            return None
        digest = digest_of(found[1])
        match: TokenEntry | None = None
        # All of them, whichever it is: the time tells nothing of what stands in the list.
        for known, entry in self._entries.items():
            if hmac.compare_digest(known, digest):
                match = entry
        if match is None or match.is_expired(self._utc_now()):
            return None
        return Grant(match.id, digest, match.workers)

    def still_good(self, grant: Grant, worker_id: str | None) -> bool:
        """Say whether a stream of ``worker_id`` (None: of everything) that was let in by ``grant`` may go on."""
        entry = self._entries.get(grant.digest)
        if entry is None or entry.is_expired(self._utc_now()):
            return False
        return entry.workers is None or (worker_id is not None and worker_id in entry.workers)

    def _miss(self) -> None:
        now = self._clock()
        if self._missing_since is None:
            self._missing_since = now
            _log.warning(
                "the token file is gone; unless it comes back in %g s nobody is let in",
                MISSING_SECONDS,
                extra=named(Notice.TOKENS_UNUSABLE),
            )
        elif now - self._missing_since >= MISSING_SECONDS and self._entries:
            self._entries = {}
            _log.error(
                "the token file is gone: nobody is let in until there is one", extra=named(Notice.TOKENS_UNUSABLE)
            )

    def _reload(self, stamp: FileStamp) -> None:
        was_known = stamp == self._stamp
        self._stamp, self._settled = stamp, self._is_settled(stamp)
        try:
            entries, self._stamp = read_token_file(self._path)
        except SecretFileError as error:
            if not was_known:
                _log.error(
                    "the token file has changed and cannot be used: %s; the old tokens stay",
                    error.reason,
                    extra=named(Notice.TOKENS_UNUSABLE),
                )
            return
        self._settled = self._is_settled(self._stamp)
        before, self._entries = self._entries, _by_digest(entries)
        if before != self._entries:
            count = len(self._entries)
            _log.info("the token file has changed: %d tokens", count, extra=named(Notice.TOKENS_RELOADED, tokens=count))

    def _is_settled(self, stamp: FileStamp) -> bool:
        now_ns = int(self._utc_now().timestamp() * 1e9)
        return now_ns - max(stamp.changed_ns, stamp.status_changed_ns) > _SETTLED_NS


def _by_digest(entries: tuple[TokenEntry, ...]) -> dict[bytes, TokenEntry]:
    return {bytes.fromhex(entry.sha256): entry for entry in entries}
