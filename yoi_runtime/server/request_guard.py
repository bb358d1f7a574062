"""What is refused before anything else is looked at: browsers, and hosts that this server is not.

A page in a browser must never reach this socket. With DNS rebinding a page's ``Origin`` equals its ``Host``, so
comparing the two is not enough: both are judged on their own. Pure; decision: docs/decisions/0006-never-a-browser.md.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["HostList", "refusal"]

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class HostList:
    """The host names, without port, under which this server may be addressed."""

    def __init__(self, bound_host: str) -> None:
        """Allow loopback's names and the bound address; bound to every address, allow any name."""
        host = f"[{bound_host}]" if ":" in bound_host else bound_host
        self._any = bound_host in ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
        self._names = _LOOPBACK_NAMES | {host.lower()}

    def allows(self, host_header: str) -> bool:
        """Judge the value of a ``Host`` header."""
        name, separator, port = host_header.rpartition(":")
        if not separator or not port.isascii() or not port.isdigit():
            name = host_header
        return bool(name) and (self._any or name.lower() in self._names)


def refusal(headers: Mapping[str, str], hosts: HostList) -> str | None:
    """Return why a request with these headers is refused (``runtime.origin_refused``), None when it is not.

    Node's own client sends ``Sec-Fetch-Mode``; only ``Sec-Fetch-Site`` other than ``none`` marks a page.
    """
    for name in ("Origin", "Sec-WebSocket-Origin", "Cookie"):
        if headers.get(name) is not None:
            return f"a request with the header {name} comes from a browser; this server is for programs"
    if headers.get("Sec-Fetch-Site", "none").strip().lower() != "none":
        return "a request with Sec-Fetch-Site comes from a page; this server is for programs"
    if not hosts.allows(headers.get("Host", "")):
        return "the Host header names a host that this server is not"
    return None
