"""What is refused before anything else is looked at: browsers, and hosts that this server is not.

A page in a browser must never reach this socket. With DNS rebinding a page's ``Origin`` equals its ``Host``, so
comparing the two is not enough: both are judged on their own. Pure; decision: docs/decisions/0006-never-a-browser.md.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

__all__ = ["ANY_HOST", "HostList", "refusal"]

ANY_HOST = "*"

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class HostList:
    """The host names, without port, under which this server may be addressed."""

    def __init__(self, bound_host: str, allow_hosts: Sequence[str] = ()) -> None:
        """Allow loopback's names, the bound address, and ``allow_hosts``; ``*`` among these is any name.

        Bound to every address, any address in numbers is allowed, but no name: numbers are nothing that a page's own
        name could be made to lead to.
        """
        self._any = ANY_HOST in allow_hosts
        self._any_number = bound_host in ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
        names = [_bracketed(name) for name in (bound_host, *allow_hosts) if name and name != ANY_HOST]
        self._names = _LOOPBACK_NAMES | {name.lower() for name in names}

    def allows(self, host_header: str) -> bool:
        """Judge the value of a ``Host`` header."""
        name, separator, port = host_header.rpartition(":")
        if not separator or not port.isascii() or not port.isdigit():
            name = host_header
        if not name or not name.isascii() or "," in name:
            return False
        return self._any or name.lower() in self._names or (self._any_number and _is_number(name))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _is_number(name: str) -> bool:
    try:
        if name.startswith("[") and name.endswith("]"):
            ipaddress.IPv6Address(name[1:-1])
        else:
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def refusal(headers: Mapping[str, str], hosts: HostList) -> str | None:
    """Return why a request with these headers is refused (``runtime.origin_refused``), None when it is not.

    Node's own client sends ``Sec-Fetch-Mode``; only ``Sec-Fetch-Site`` other than ``none`` marks a page.
    """
    for name in ("Origin", "Sec-WebSocket-Origin", "Cookie"):
        if headers.get(name) is not None:
            return f"a request with the header {name} comes from a browser; this server is for programs"
    if headers.get("Sec-Fetch-Site", "none") != "none":
        return "a request with Sec-Fetch-Site comes from a page; this server is for programs"
    if not hosts.allows(headers.get("Host", "")):
        return "the Host header names a host that this server is not; start it with --allow-host if it is"
    return None
