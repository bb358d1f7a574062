"""What a server has to stand: requests that nobody should send, and peers that mean harm. After each it is as before.

One server process for all of it: what one attack leaves behind would be seen by the next.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.end_to_end.hostile import DEADLINE_SECONDS, HANDSHAKE, Target, target_in
from tests.support.deadline import wait_until
from yoi_runtime.server.token_file import add_token, revoke_token

STREAM = "/v1/events/ws"
CONTINUATION, TEXT, PING, PONG = 0, 1, 9, 10


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    directory = tmp_path_factory.mktemp("abused")
    with target_in(directory, "--max-unfinished", "128", "--header-timeout", "3s") as target:
        yield target
        stderr = target.program.stderr
    # However much was thrown at it: it said so in some lines, and none of them quotes a token.
    assert len(stderr.splitlines()) < 60, stderr
    assert "Traceback" not in stderr, stderr
    assert target.token not in stderr + target.program.stdout
    assert "yoi_" not in stderr.replace("yoi_runtime", "")


# Requests.


def test_no_header_of_a_browser_and_no_foreign_host_is_let_in(target: Target):
    port = target.port
    good_hosts = [f"127.0.0.1:{port}", "127.0.0.1", f"localhost:{port}", "LOCALHOST", f"[::1]:{port}", "[::1]"]
    bad_hosts: list[str | None] = [
        "evil.example",
        f"evil.example:{port}",
        "localhost.",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        f"0.0.0.0:{port}",
        "[::ffff:127.0.0.1]",
        "[::]",
        "::1",
        "user@localhost",
        "localhost,evil.example",
        f"127.0.0.1:{port}:1",
        "localhost/x",
        "",
        " ",
        None,
    ]
    origins = [
        None,
        f"http://127.0.0.1:{port}",
        f"http://localhost:{port}",
        "https://evil.example",
        "null",
        "",
        "file://",
        "chrome-extension://abcdef",
    ]
    tried = {True: 0, False: 0}

    def look(path: str, host: str | None, headers: list[tuple[str, str]], let_in: bool) -> None:
        upgrade = HANDSHAKE if path.endswith("/ws") else []
        # The right one is asked for by "", so an empty one is sent as a header.
        extra = [("Host", "")] if host == "" else []
        answer = target.ask(path, [*extra, *headers, *upgrade, *target.bearer], host=None if host == "" else host)
        wanted = {101 if upgrade else 200} if let_in else {400, 403}
        assert answer.status in wanted, (path, host, headers, answer)
        if answer.status == 403:
            assert answer.code == "runtime.origin_refused"
        tried[let_in] += 1

    for host, origin in product([*good_hosts, *bad_hosts], origins):
        headers = [] if origin is None else [("Origin", origin)]
        look(STREAM, host, headers, host in good_hosts and origin is None)
    marks = {
        "Cookie": ["a=b", ""],
        "cOOkie": ["a=b"],
        "Sec-WebSocket-Origin": ["null"],
        "ORIGIN": ["http://localhost"],
        "Sec-Fetch-Site": ["cross-site", "same-site", "same-origin", "None", "", "none, cross-site"],
    }
    harmless = {"Sec-Fetch-Site": ["none"], "Sec-Fetch-Mode": ["websocket"], "User-Agent": ["Mozilla/5.0"]}
    paths = [STREAM, "/v1/workers/a/events/ws", "/v1/workers", "/healthz"]
    for let_in, names in ((False, marks), (True, harmless)):
        for name, values in names.items():
            for value, path in product(values, paths):
                look(path, good_hosts[0], [(name, value)], let_in)
    # Two of a kind.
    for pair in (["localhost", "evil.example"], ["evil.example", "localhost"], ["localhost", "localhost"]):
        look(STREAM, None, [("Host", host) for host in pair], False)
    sys.stdout.write(f"\n{tried[True]} combinations let in, {tried[False]} refused\n")
    assert sum(tried.values()) >= 200
    target.is_well("header matrix")


def test_every_token_opens_what_it_is_for_and_nothing_else(target: Target):
    def token(*workers: str, expires_at: datetime | None = None) -> str:
        return add_token(target.token_file, label="matrix", workers=workers, expires_at=expires_at)[0]

    now = datetime.now(UTC)
    scoped, expired = token("a", "nobody"), token(expires_at=now - timedelta(seconds=1))
    revoked, entry = add_token(target.token_file, label="gone", workers=[], expires_at=None)
    revoke_token(target.token_file, entry.id)
    # What no token opens, what anybody's does, and what is refused to all but the whole one.
    statuses = {
        "/healthz": {"nobody": 200, "scoped": 200, "whole": 200},
        "/readyz": {"nobody": 200, "scoped": 200, "whole": 200},
        "/v1/runtime": {"nobody": 401, "scoped": 200, "whole": 200},
        "/v1/workers": {"nobody": 401, "scoped": 200, "whole": 200},
        "/v1/events/status": {"nobody": 401, "scoped": 403, "whole": 200},
        STREAM: {"nobody": 401, "scoped": 403, "whole": 101},
        "/v1/workers/a": {"nobody": 401, "scoped": 200, "whole": 200},
        "/v1/workers/a/transcript": {"nobody": 401, "scoped": 200, "whole": 200},
        "/v1/workers/a/events/ws": {"nobody": 401, "scoped": 101, "whole": 101},
        "/v1/workers/b": {"nobody": 401, "scoped": 403, "whole": 200},
        "/v1/workers/b/transcript": {"nobody": 401, "scoped": 403, "whole": 200},
        "/v1/workers/b/events/ws": {"nobody": 401, "scoped": 403, "whole": 101},
        # Whether there is such a Worker is nobody's business but who may see it.
        "/v1/workers/none/events/ws": {"nobody": 401, "scoped": 403, "whole": 404},
        "/v1/workers/nobody/events/ws": {"nobody": 401, "scoped": 404, "whole": 404},
        "/v1/workers/%00/events/ws": {"nobody": 401, "scoped": 400, "whole": 400},
        "/nothing": {"nobody": 401, "scoped": 404, "whole": 404},
    }
    whole = target.token
    shown: list[tuple[str, list[str]]] = [
        ("nobody", []),
        ("nobody", [""]),
        ("nobody", ["Bearer"]),
        ("nobody", [f"Bearer {expired}"]),
        ("nobody", [f"Bearer {revoked}"]),
        ("nobody", [f"Bearer {whole[:-1]}"]),
        ("nobody", [f"Bearer {whole}x"]),
        ("nobody", [f"Bearer {whole} {whole}"]),
        ("nobody", [f"Basic {whole}"]),
        ("nobody", [whole]),
        ("nobody", ["Bearer \xfc\xf6\xe4"]),
        ("nobody", ["Bearer " + "x" * 6000]),
        ("nobody", [f"Bearer {whole}", "Bearer x"]),
        ("scoped", [f"Bearer {scoped}"]),
        ("scoped", [f"bearer  {scoped}"]),
        ("whole", [f"Bearer {whole}"]),
        ("whole", [f"BEARER {whole}"]),
    ]
    tried = 0
    for (path, wanted), (who, values) in product(statuses.items(), shown):
        headers = [*(HANDSHAKE if path.endswith("/ws") else []), *(("Authorization", value) for value in values)]
        answer = target.ask(path, headers)
        assert answer.status == wanted[who], (path, who, values, answer)
        if answer.status == 401:
            challenge = 'Bearer realm="yoi-runtime"'
            assert answer.headers["www-authenticate"] == challenge + (', error="invalid_token"' if values else "")
            assert answer.code == "runtime.unauthenticated"
        elif answer.status == 403:
            assert answer.code == "runtime.forbidden"
        tried += 1
    # Nowhere but in the header.
    for path, name in product(statuses, ("access_token", "token", "Authorization", "cursor")):
        answer = target.ask(f"{path}?{name}={whole}", [*HANDSHAKE, *target.bearer])
        assert (answer.status, answer.code) == (400, "runtime.invalid_request"), (path, name)
        assert whole.encode() not in answer.body
        assert target.ask(path, [*HANDSHAKE, ("Cookie", f"token={whole}")]).status == 403
        tried += 2
    # Of the list of Workers, those that it is for.
    for token_, ids in ((scoped, ["a"]), (whole, ["a", "b"])):
        body = json.loads(target.ask("/v1/workers", [("Authorization", f"Bearer {token_}")]).body)
        assert [worker["worker_id"] for worker in body["workers"]] == ids
    sys.stdout.write(f"\n{tried} combinations of token and path\n")
    assert tried >= 300
    target.is_well("credential matrix")


def _hostile_ids() -> list[str]:
    parts = [
        "..",
        "../..",
        "..\\..",
        "/etc/passwd",
        "a/b",
        "a%2fb",
        ".",
        "~",
        "$HOME",
        "`id`",
        "a;b",
        "a|b",
        "a&b",
        "*",
    ]
    controls = [f"a{chr(number)}b" for number in [*range(32), 127, 0x85, 0x2028, 0x2029, 0xFEFF, 0x202E]]
    alike = ["а", "ａ", "ⅰ", "a\u0301", "\u200ba", "\u212a", "ſ", "１", "—", "‐", "＿", "\u00adx", "𝒂", "ａｇｅｎｔ"]
    long = ["x" * number for number in (65, 66, 100, 255, 256, 1000, 4000)]
    spaces = [" a", "a ", "a b", "a\u00a0b", "\u3000", "a+b", "a.b", "a,b", "a:b", "a@b", "a=b", "a'b", 'a"b', "a<b>"]
    plain = [*parts, *controls, *alike, *long, *spaces]
    written = [quote(text, safe="") for text in plain]
    twice = [quote(text, safe="") for text in written if len(text) < 200]
    raw = [f"%{number:02x}" for number in range(0x80, 0xFF)]
    overlong = [
        "%c0%ae%c0%ae",
        "%c0%af",
        "%e0%80%af",
        "%f0%80%80%af",
        "%ed%a0%80",
        "%ff%fe",
        "%u0061",
        "a%0d%0aX-Y:%20z",
    ]
    # Escapes that are none are what they look like, and no id either.
    return list(dict.fromkeys([*written, *twice, *raw, *overlong, "%", "%%", "a%zz", "%2", "a%00.json"]))


def test_no_id_leads_anywhere(target: Target):
    data = target.token_file.parent / "data"
    before = sorted(path.name for path in data.rglob("*") if path.suffix not in (".jsonl", ".json"))
    ids = _hostile_ids()
    tried = 0
    for hostile in ids:
        template = ("/v1/workers/{}/events/ws", "/v1/workers/{}", "/v1/workers/{}/transcript")[tried % 3]
        answer = target.ask(template.format(hostile), [*HANDSHAKE, *target.bearer])
        # 404: with a slash or a dot in it, it is another path.
        assert (answer.status, answer.code) in {(400, "runtime.invalid_request"), (404, "runtime.invalid_request")}, (
            hostile
        )
        assert b"X-Y" not in str(answer.headers).encode()
        tried += 1
    sys.stdout.write(f"\n{tried} hostile ids\n")
    assert tried >= 300
    assert sorted(path.name for path in data.rglob("*") if path.suffix not in (".jsonl", ".json")) == before
    target.is_well("hostile ids")


def test_what_is_too_large_is_told_or_cut_off(target: Target):
    port, bearer = target.port, target.bearer[0][1]
    head = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    many = "".join(f"X-{number}: {number}\r\n" for number in range(20_000))
    heads = {
        "a header": f"{head}X: {'x' * 10_000}\r\n\r\n",
        "a header of a megabyte": f"{head}X: {'x' * (1 << 20)}\r\n\r\n",
        "an address": f"GET /{'x' * 100_000} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
        "20,000 headers": f"{head}{many}\r\n",
        "no end": head + "X: " + "x" * 9000,
    }
    for name, text in heads.items():
        answer = target.say(text.encode())
        # A megabyte is more than is read to the end: then the close may overtake the answer.
        assert answer.status in ({0, 431} if len(text) > 200_000 else {431}), (name, answer)
        if answer.status:
            assert answer.code == "runtime.invalid_request"
    assert target.say(b"GET / HTTP/9.9\r\n\r\n").status == 400
    assert target.say(b"\x00\x01\x02 nonsense\r\n\r\n").status == 400
    assert (
        target.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n").code
        == "runtime.invalid_request"
    )
    for lines in (
        f"POST /v1/workers HTTP/1.1\r\nContent-Length: {10 << 20}",
        f"GET /v1/workers HTTP/1.1\r\nContent-Length: {1 << 62}",
        "GET /v1/workers HTTP/1.1\r\nContent-Length: -1",
        "POST /v1/workers HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
    ):
        text = f"{lines}\r\nHost: 127.0.0.1:{port}\r\nAuthorization: {bearer}\r\n\r\n"
        answer = target.say(text.encode() + b"x" * 100_000)
        assert answer.status in (0, 400, 405), (lines, answer)
    with target.subscribed() as peer:
        peer.sendall(Target.frames(TEXT, b"x" * 5000))
        assert _close_code(peer) == 1009
    with target.subscribed() as peer:
        try:
            peer.sendall(Target.frames(TEXT, b"x" * (1 << 20)))
        except ConnectionError:
            pass
        assert _close_code(peer) in (1009, None)
    target.is_well("oversize everything")


# Peers.


def _close_code(peer: socket.socket) -> int | None:
    """Read to the end; the code of the close frame, None when the connection was cut."""
    seen = b""
    try:
        while more := peer.recv(65536):
            seen += more
            if (
                (at := seen.rfind(b"\x88")) >= 0
                and len(seen) >= at + 4
                and 1000 <= struct.unpack(">H", seen[at + 2 : at + 4])[0] < 5000
            ):
                return int(struct.unpack(">H", seen[at + 2 : at + 4])[0])
    except ConnectionError:
        pass
    return None


def test_500_who_never_finish_their_request_shut_nobody_out(target: Target):
    attackers = []
    head = f"GET {STREAM} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-".encode()
    for number in range(500):
        attacker = target.connect()
        if number % 3:
            attacker.sendall(head[: number % len(head)])
        attackers.append(attacker)
    # While they all are there.
    during = target.fresh_subscriber()
    # And while they drip on, byte by byte: time counts from the beginning, not from the last byte.
    ended = 0

    def all_dropped() -> bool:
        nonlocal ended
        for attacker in list(attackers):
            try:
                attacker.sendall(b"x")
                attacker.setblocking(False)
                if attacker.recv(4096) == b"":
                    raise ConnectionResetError
            except BlockingIOError:
                attacker.settimeout(DEADLINE_SECONDS)
            except OSError:
                attacker.close()
                attackers.remove(attacker)
                ended += 1
        return not attackers

    wait_until(all_dropped, 2 * DEADLINE_SECONDS, "all were dropped")
    sys.stdout.write(f"\n{ended} dropped; a subscriber got in among them after {during:.3f} s\n")
    assert ended == 500
    target.is_well("slowloris")


@pytest.mark.parametrize("what", ["pings", "large pings", "pongs", "empty fragments", "small fragments"])
def test_a_flood_ends_its_connection(target: Target, what: str):
    opcode, payload = {
        "pings": (PING, b""),
        "large pings": (PING, b"x" * 125),
        "pongs": (PONG, b""),
        "empty fragments": (CONTINUATION, b""),
        "small fragments": (CONTINUATION, b"x"),
    }[what]
    taken = 0
    for _ in range(5):
        with target.subscribed() as peer:
            if opcode == CONTINUATION:
                peer.sendall(Target.frames(TEXT, final=False))
            flood = Target.frames(opcode, payload, final=opcode != CONTINUATION, times=2000)
            # 40 MB, or a million fragments and more, were it not ended.
            taken += target.is_cut_off(peer, flood, 40 << 20)
    sys.stdout.write(f"\nflood of {what}: 5 connections ended after {taken:,} bytes in all\n")
    target.is_well(f"flood of {what}")


def test_what_a_flood_is_can_be_said(tmp_path: Path):
    limits = ["--max-pings-per-second", "1000", "--max-inbound-bytes-per-second", "1KiB"]
    with target_in(tmp_path, *limits) as target:
        with target.subscribed() as peer:
            # Beyond the usual 50, and 900 bytes: they are answered.
            peer.sendall(Target.frames(PING, times=150))
            seen = b""
            while seen.count(b"\x8a\x00") < 150:
                more = peer.recv(65536)
                assert more, seen.count(b"\x8a\x00")
                seen += more
        with target.subscribed() as peer:
            # 4 KB, which the usual 16 would let pass.
            peer.sendall(Target.frames(PING, b"x" * 125, times=32))
            assert _close_code(peer) is None


def test_a_length_that_nobody_has_is_refused_before_anything_is_set_aside_for_it(target: Target):
    for length in (1 << 62, (1 << 63) - 1, (1 << 64) - 1, 1 << 31, 4097):
        for opcode in (TEXT, 2, PING):
            with target.subscribed() as peer:
                peer.sendall(bytes((0x80 | opcode, 0xFF)) + struct.pack(">Q", length) + bytes(4) + b"x" * 10)
                assert _close_code(peer) in (1002, 1009, None)
    target.is_well("2^62 bytes")


def test_compression_is_declined_however_it_is_offered(target: Target):
    offers = [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=99",
        "x-webkit-deflate-frame, permessage-deflate",
        "permessage-deflate" + "; a" * 1000,
    ]
    for offer in offers:
        answer = target.ask(STREAM, [*HANDSHAKE, *target.bearer, ("Sec-WebSocket-Extensions", offer)])
        assert answer.status == 101, offer
        assert "sec-websocket-extensions" not in answer.headers
    # Who compresses all the same breaks the protocol.
    with target.subscribed() as peer:
        peer.sendall(bytes((0xC1, 0x80 | 5)) + bytes(4) + b"abcde")
        assert _close_code(peer) in (1002, 1007, 4408, None)
    target.is_well("deflate")


def test_storms_of_resets_leave_nothing_behind(target: Target):
    whole = f"GET {STREAM} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    whole += "".join(f"{name}: {value}\r\n" for name, value in [*HANDSHAKE, *target.bearer]) + "\r\n"
    stages = [
        b"",
        b"GET ",
        whole[:60].encode(),
        whole.encode(),
        f"GET /v1/workers HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {target.token}\r\n\r\n".encode(),
    ]
    for number in range(600):
        peer = target.connect()
        peer.sendall(stages[number % len(stages)])
        Target.reset(peer)
    for _ in range(100):
        Target.reset(target.subscribed())
    sys.stdout.write("\n700 connections reset\n")
    target.is_well("RST storms")


def test_a_thousand_requests_in_one_piece_are_answered_one_after_the_other(target: Target):
    request = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n\r\n".encode()
    with target.connect() as peer:
        peer.sendall(request * 1000)
        answered, seen = 0, b""
        while answered < 1000:
            more = peer.recv(65536)
            assert more
            seen += more
            answered = seen.count(b'{"status":"ok"}')
    target.is_well("pipelining")


def test_a_revoked_token_ends_its_streams_and_an_expired_one_too(target: Target):
    whole = target.token
    brief, _ = add_token(
        target.token_file, label="brief", workers=[], expires_at=datetime.now(UTC) + timedelta(seconds=3)
    )
    plain, entry = add_token(target.token_file, label="plain", workers=["a"], expires_at=None)
    try:
        target.token = brief
        expiring = target.subscribed()
        target.token = plain
        revoked = target.subscribed("/v1/workers/a/events/ws")
    finally:
        target.token = whole
    stays = target.subscribed()
    revoke_token(target.token_file, entry.id)
    with expiring, revoked, stays:
        for peer in (revoked, expiring):
            assert _close_code(peer) == 4401
        stays.setblocking(False)
        try:
            while more := stays.recv(65536):
                assert b"unauthenticated" not in more
        except BlockingIOError:
            pass
    target.is_well("revocation")


def test_the_files_of_a_runtime_are_its_owners_alone(target: Target):
    data: Path = target.token_file.parent / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    # Inside, the log could be shown to a group, by who opens the directory to one; to everybody never.
    assert (data / "log").stat().st_mode & 0o007 == 0
    assert (data / "transcript").stat().st_mode & 0o007 == 0
    assert [path.name for path in (data / "log").iterdir() if path.stat().st_mode & 0o007] == []
