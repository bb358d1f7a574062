"""What goes wrong with who may connect, and how. The whole tree is drawn in ``yoi_runtime.errors``."""

from __future__ import annotations

from pathlib import Path

from yoi_runtime.errors.root import YoiError

__all__ = ["AccessError", "DescriptorLimitError", "OpenToAllError", "SecretFileError", "TokenNotFoundError"]


class AccessError(YoiError):
    """The server cannot be served as it was asked for; nothing was."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class SecretFileError(AccessError):
    """A file of tokens, a certificate or a key that is not to be used. ``reason`` says what to do, and quotes nothing."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class TokenNotFoundError(AccessError):
    """A list of tokens has none of this name, or several; ``token_ids`` are those."""

    def __init__(self, path: Path, name: str, token_ids: tuple[str, ...]) -> None:
        self.path = path
        self.name = name
        self.token_ids = token_ids
        which = f"{', '.join(token_ids)} all have the label {name!r}; say which" if token_ids else f"no token {name!r}"
        super().__init__(f"{path}: {which}")


class OpenToAllError(AccessError):
    """Other machines could connect to ``host``, and nobody would be asked for a token. ``ways``: what to do instead."""

    def __init__(
        self,
        host: str,
        ways: str = "give a list of tokens (--token-file), listen on 127.0.0.1, or say --insecure-no-token",
    ) -> None:
        self.host = host
        self.ways = ways
        shown = host or "every address"
        super().__init__(f"everybody who reaches {shown} could read every event: {ways}")


class DescriptorLimitError(AccessError):
    """The process may not open as many files and sockets as it was asked to serve; ``limit`` is what it may."""

    def __init__(self, limit: int, wanted: int) -> None:
        self.limit = limit
        self.wanted = wanted
        super().__init__(
            f"{wanted} open files and sockets are needed and {limit} allowed: raise the limit (ulimit -n,"
            " LimitNOFILE=), or ask for fewer subscribers"
        )
