from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.real_program import server_url, start_program
from tests.server.certificates import Authority, needs_openssl
from tests.server.serving import EVERYTHING, http_get, serving
from tests.support.leak_watch import PLANTED_TOKEN, WATCH, LeakWatch
from yoi_runtime.events import TextDelta
from yoi_runtime.server.token_file import add_token, revoke_token


def test_a_secret_is_found_on_the_wire_and_in_a_log():
    watch = LeakWatch()
    watch.wire(b'HTTP/1.1 400 Bad Request\r\n\r\n{"message":"' + PLANTED_TOKEN.encode())
    watch.line(f"refused {PLANTED_TOKEN}", paths=False)
    assert [one.partition(":")[0] for one in watch.found] == [
        "a token on the wire",
        "a token in a log",
    ]


def test_a_path_of_ours_is_found_but_for_a_worker_s_own_words():
    watch = LeakWatch()
    watch.wire(
        b'{"kind":"event","envelope":{"seq":1,"payload":{"event":"text_delta","data":{"text":"/tmp/pytest-of-x"}}}}\n'
    )
    watch.line("/tmp/pytest-of-x/data: File exists", paths=False)
    assert watch.found == []
    watch.wire(b'{"kind":"diagnostic","diagnostic":{"message":"/tmp/pytest-of-x/data"}}')
    watch.line("/tmp/pytest-of-x/data: File exists", paths=True)
    assert len(watch.found) == 2


async def test_the_watch_sees_what_a_real_server_sends(tmp_path: Path):
    before = WATCH.looked.copy()
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        await served.shown(worker.emit(TextDelta(text="x" * 2000)))
        async with served.subscribed("a", **{"from": "oldest"}) as peer:
            await peer.frame()
            await peer.events(1)
    assert WATCH.looked["bytes to peers"] - before["bytes to peers"] > 2000


@pytest.mark.parametrize("path", ["/v1/workers", "/v1/workers/nobody", EVERYTHING, "/metrics", "/nothing", "/healthz"])
async def test_a_token_comes_back_from_nowhere(path: str, tmp_path: Path):
    async with serving(tmp_path) as served:
        for headers in (
            {"Authorization": f"Bearer {PLANTED_TOKEN}"},
            {"Cookie": PLANTED_TOKEN},
            {"Host": PLANTED_TOKEN},
        ):
            assert PLANTED_TOKEN not in str(await served.get(path, headers=headers))
        for query in (f"?token={PLANTED_TOKEN}", f"?cursor={PLANTED_TOKEN}"):
            await served.get(path + query)


def test_a_program_s_log_has_neither_token_nor_path_whatever_goes_wrong(tmp_path: Path):
    data = tmp_path / "data"
    options = ["--data-dir", str(data), "--bind", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug"]
    before = WATCH.looked["programs"]
    with start_program(tmp_path, "serve", *options, "--worker", "a=sh -c 'exit 1'") as program:
        url = server_url(data, program)
        http_get(url, f"/v1/events/ws?token={PLANTED_TOKEN}", headers={"Authorization": f"Bearer {PLANTED_TOKEN}"})
        http_get(url, f"/{PLANTED_TOKEN}")
        (data / "log").rename(data / "away")
        program.wait_for_stderr("log_not_followed")
        program.stop()
        assert "DATA_DIR/log" in program.stderr
        assert all(json.loads(line)["event"] for line in program.stderr.splitlines())
    assert WATCH.looked["programs"] == before + 1


@needs_openssl
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_guarded_program_s_log_names_neither_its_files_nor_tokens(tmp_path: Path, processes: str):
    data, tokens, tls = tmp_path / "data", tmp_path / "tokens.json", Authority.make(tmp_path / "ca").issue("server")
    token, added = add_token(tokens, label="backend", workers=(), expires_at=None)
    options = [
        *("--data-dir", str(data), "--bind", "127.0.0.1:0", "--processes", processes),
        *("--token-file", str(tokens), "--tls-cert", str(tls.certificate), "--tls-key", str(tls.key)),
        *("--log-format", "json", "--log-level", "debug"),
    ]
    with start_program(tmp_path, "serve", *options) as program:
        port = urlsplit(server_url(data, program)).port
        for shown in (token, PLANTED_TOKEN):
            for path in ("/v1/events/status", "/metrics", f"/{shown}", f"/v1/runtime?token={shown}", EVERYTHING):
                connection = http.client.HTTPSConnection("127.0.0.1", port, context=ssl._create_unverified_context())
                connection.request("GET", path, headers={"Authorization": f"Bearer {shown}"})
                answer = connection.getresponse()
                WATCH.wire(answer.read() + str(answer.getheaders()).encode())
                connection.close()
        tls.certificate.write_text("no certificate")
        program.wait_for_stderr("certificate_unusable")
        revoke_token(tokens, added.id)
        program.wait_for_stderr("tokens_reloaded")
        tokens.write_text(f'["{token}"]')
        program.wait_for_stderr("tokens_unusable")
        program.stop()
        assert str(tmp_path) not in program.stderr
        assert all(json.loads(line)["event"] for line in program.stderr.splitlines())
