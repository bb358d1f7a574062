"""Who may connect to a server, and how: what whoever starts one says about it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from yoi_runtime.errors import OpenToAllError
from yoi_runtime.server.tls_files import TlsFiles

__all__ = ["ServerAccess", "is_loopback"]


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """``token_file``: None asks nobody for a token, which is for loopback, unless ``insecure_no_token`` says otherwise.

    ``allow_hosts``: more names under which the server may be addressed; ``*`` is any. ``tls``: None serves plain HTTP.
    """

    token_file: Path | None = None
    insecure_no_token: bool = False
    allow_hosts: tuple[str, ...] = ()
    tls: TlsFiles | None = None

    def check_bind(self, host: str) -> None:
        """Look whether a server that listens there is asked for tokens, or is for this machine alone.

        Raises:
            OpenToAllError: neither.
        """
        if self.token_file is None and not self.insecure_no_token and not is_loopback(host):
            raise OpenToAllError(host)


def is_loopback(host: str) -> bool:
    """Say whether ``host`` names this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
