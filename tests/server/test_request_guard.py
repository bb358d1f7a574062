from __future__ import annotations

import pytest

from yoi_runtime.server.request_guard import HostList, refusal

LOOPBACK = HostList("127.0.0.1")

# What an ordinary program sends, and Node's own client, whose fetch adds Sec-Fetch-Mode to the handshake.
PROGRAMS = {
    "plain": {},
    "node": {"Sec-Fetch-Mode": "websocket", "User-Agent": "node"},
    "typed into the address bar by a test tool": {"Sec-Fetch-Site": "none"},
    "with credentials": {"Authorization": "Bearer x"},
}

BROWSERS = {
    "page": {"Origin": "https://evil.example"},
    "rebound page: Origin equals Host": {"Origin": "http://127.0.0.1:38800"},
    "sandboxed page": {"Origin": "null"},
    "empty origin": {"Origin": ""},
    "old page": {"Sec-WebSocket-Origin": "http://localhost"},
    "cookie": {"Cookie": "a=b"},
    "empty cookie": {"Cookie": ""},
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "same-site": {"Sec-Fetch-Site": "same-site"},
    "same-origin": {"Sec-Fetch-Site": "same-origin"},
    "empty site": {"Sec-Fetch-Site": ""},
    "none in another case, which no browser sends": {"Sec-Fetch-Site": "None"},
    "two sites": {"Sec-Fetch-Site": "none,cross-site"},
}

GOOD_HOSTS = ["127.0.0.1", "127.0.0.1:38800", "localhost", "LocalHost:1", "[::1]", "[::1]:38800"]
BAD_HOSTS = [
    "",
    ":38800",
    "evil.example",
    "evil.example:38800",
    "127.0.0.1.evil.example",
    "localhost.",
    "localhost.evil.example:80",
    "localhost,evil.example",
    "127.0.0.1:38800:1",
    "127.0.0.1:port",
    "127.0.0.1:٣",
    "127.0.0.2",
    "0.0.0.0",
    "::1",
    "[::1",
    "[::2]",
    "2130706433",
    "user@localhost",
    " localhost",
]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_a_program_is_let_in(program: str, host: str):
    assert refusal({"Host": host, **PROGRAMS[program]}, LOOPBACK) is None


@pytest.mark.parametrize("browser", BROWSERS)
@pytest.mark.parametrize("host", [GOOD_HOSTS[1], "[::1]:38800"])
def test_a_browser_is_refused_under_a_good_host_too(browser: str, host: str):
    assert refusal({"Host": host, **BROWSERS[browser]}, LOOPBACK) is not None


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_a_host_that_this_server_is_not_is_refused(host: str):
    assert refusal({"Host": host}, LOOPBACK) is not None


def test_a_request_without_host_is_refused():
    assert refusal({}, LOOPBACK) is not None


def test_the_reason_quotes_nothing_of_the_request():
    for headers in [*BROWSERS.values(), {"Host": "evil.example"}]:
        reason = refusal({"Host": "evil.example", **headers}, LOOPBACK)
        assert reason is not None
        assert "evil" not in reason


@pytest.mark.parametrize("bound", ["192.0.2.7", "runtime.internal", "Runtime.Internal"])
def test_the_bound_address_is_a_good_host_beside_loopback(bound: str):
    hosts = HostList(bound)
    assert hosts.allows(bound)
    assert hosts.allows(f"{bound.lower()}:38800")
    assert hosts.allows("localhost:38800")
    assert not hosts.allows("192.0.2.8")


def test_a_bound_ipv6_address_is_good_in_brackets():
    hosts = HostList("2001:db8::1")
    assert hosts.allows("[2001:db8::1]:38800")
    assert hosts.allows("[2001:DB8::1]")
    assert not hosts.allows("[2001:db8::2]:38800")


@pytest.mark.parametrize("bound", ["", "0.0.0.0", "::"])
def test_bound_to_every_address_any_number_is_good_and_no_name_that_a_page_could_have(bound: str):
    hosts = HostList(bound)
    for good in ("192.0.2.8:38800", "10.0.0.1", "[2001:db8::1]:38800", "[::1]", "localhost:1"):
        assert hosts.allows(good), good
    for bad in (
        "",
        ":80",
        "whatever.example:1",
        "1.2.3",
        "0x7f000001",
        "2130706433",
        "1.2.3.4.example",
        "[::1",
        "1.2.3.4,a",
    ):
        assert not hosts.allows(bad), bad


def test_more_names_are_good_when_told():
    hosts = HostList("127.0.0.1", ["Runtime.example", "2001:db8::1", "[2001:db8::2]"])
    for good in ("runtime.example:38800", "RUNTIME.EXAMPLE", "[2001:db8::1]:1", "[2001:db8::2]", "localhost"):
        assert hosts.allows(good), good
    for bad in ("other.example", "runtime.example.", "runtime.example.evil", "evil.runtime.example", "192.0.2.8"):
        assert not hosts.allows(bad), bad


def test_any_name_is_good_only_when_that_was_said():
    hosts = HostList("127.0.0.1", ["*"])
    assert hosts.allows("whatever.example:1")
    for bad in ("", ":80", "a,b", "\u00fcber.example"):
        assert not hosts.allows(bad), bad
