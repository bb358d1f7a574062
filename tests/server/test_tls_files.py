"""Certificates from files, and a server with them: our client, and one that speaks too old a TLS."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.runtime.emitting import emit
from tests.server.certificates import Authority, needs_openssl
from tests.server.serving import serving
from tests.support.deadline import wait_until_async
from yoi_runtime.client.observe import observe
from yoi_runtime.client.settings import ClientSettings
from yoi_runtime.errors import SecretFileError, StreamConnectError, StreamRefusedError
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.tls_files import TlsFiles, TlsIdentity, server_context
from yoi_runtime.server.token_file import add_token

pytestmark = needs_openssl


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def issued(authority: Authority) -> TlsFiles:
    return authority.issue("server")


def test_a_good_pair_makes_a_context_that_refuses_what_is_old(issued: TlsFiles):
    context = server_context(issued)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION


def test_a_bad_pair_is_told_with_what_is_wrong(authority: Authority, issued: TlsFiles, tmp_path: Path):
    other = authority.issue("other")
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate")
    nothing.chmod(0o600)
    encrypted = tmp_path / "encrypted.key"
    command = ["openssl", "pkey", "-in", str(issued.key), "-aes256", "-passout", "pass:x", "-out", str(encrypted)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    encrypted.chmod(0o600)
    open_key = tmp_path / "open.key"
    shutil.copyfile(issued.key, open_key)
    open_key.chmod(0o644)
    wrong = {
        "not of this key": TlsFiles(issued.certificate, other.key),
        "cannot be used: no": TlsFiles(nothing, issued.key),
        "the certificate cannot be read: No such file": TlsFiles(tmp_path / "none", issued.key),
        "the key cannot be read: No such file": TlsFiles(issued.certificate, tmp_path / "none"),
        "is encrypted": TlsFiles(issued.certificate, encrypted),
        "open to others.*chmod 600": TlsFiles(issued.certificate, open_key),
        "cannot be used": TlsFiles(issued.certificate, nothing),
    }
    for words, files in wrong.items():
        with pytest.raises(SecretFileError, match=words):
            server_context(files)


def test_a_new_pair_is_taken_over_and_a_broken_one_is_not(
    authority: Authority, tmp_path: Path, expect_log: ExpectLog, caplog: pytest.LogCaptureFixture
):
    expect_log("yoi_runtime.server", "have changed and cannot be used: .*; the old ones stay")
    one, two = authority.issue("one"), authority.issue("two")
    files = TlsFiles(tmp_path / "cert.pem", tmp_path / "key.pem")
    shutil.copyfile(one.certificate, files.certificate)
    shutil.copyfile(one.key, files.key)
    files.key.chmod(0o600)
    identity = TlsIdentity(files)
    first = identity.context
    assert not identity.look()
    shutil.copyfile(two.certificate, files.certificate)
    assert not identity.look()  # the key is still the old one's
    assert not identity.look()
    assert identity.context is first
    shutil.copyfile(two.key, files.key)
    assert identity.look()
    assert identity.context is not first
    assert [str(tmp_path) in record.getMessage() for record in caplog.records] == [False]


async def test_our_client_follows_over_tls_with_a_token(
    authority: Authority, issued: TlsFiles, tmp_path: Path, expect_log: ExpectLog
):
    expect_log("tornado.general", "SSL Error")
    token_file = tmp_path / "tokens.json"
    token, _ = add_token(token_file, label="", workers=[], expires_at=None)
    settings = ClientSettings(ssl_context=ssl.create_default_context(cafile=authority.certificate))
    async with serving(tmp_path / "data", access=ServerAccess(token_file=token_file, tls=issued)) as served:
        assert served.server.url == f"https://127.0.0.1:{served.server.port}"
        worker = await served.worker("a")
        # More than the socket takes at once: the rest is written again, as it was.
        await served.shown(emit(worker, 3000, size=2000)[-1])
        stream = observe(served.server.url, "a", token=token, settings=settings, start="oldest")
        seen = 0
        async with stream, asyncio.timeout(40):
            async for event in stream:
                seen += 1
                assert event.worker_seq == seen
                if seen == 3000:
                    break
        with pytest.raises(StreamRefusedError) as refused:
            async with observe(served.server.url, "a", token="yoi_no", settings=settings) as stream:
                await anext(stream)
        assert refused.value.code == "runtime.unauthenticated"
        # Who does not know the authority does not come in, and does not send its token.
        with pytest.raises(StreamConnectError, match="certificate"):
            async with observe(served.server.url, "a", token=token) as stream:
                await anext(stream)
    sys.stdout.write(f"\n{seen} events over TLS\n")


async def test_old_tls_is_refused_and_so_is_plain_http(issued: TlsFiles, tmp_path: Path, expect_log: ExpectLog):
    expect_log("tornado.general", "SSL Error")
    async with serving(tmp_path, access=ServerAccess(tls=issued)) as served:

        def with_old_tls() -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("ALL:@SECLEVEL=0")
            with socket.create_connection(("127.0.0.1", served.server.port), timeout=20) as connection:
                context.wrap_socket(connection)

        with pytest.warns(DeprecationWarning, match="TLS"), pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(with_old_tls)
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        async with asyncio.timeout(20):
            try:
                assert not (await reader.read()).startswith(b"HTTP/")
            except ConnectionError:
                pass
        writer.close()
        await wait_until_async(lambda: served.server.counters.connections == 0)


async def test_a_certificate_that_is_exchanged_is_shown_to_who_comes_next(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("yoi_runtime.server.event_server._LOOK_SECONDS", 0.02)
    one, two = authority.issue("before"), authority.issue("after")
    files = TlsFiles(tmp_path / "cert.pem", tmp_path / "key.pem")
    both = {name: (tls.certificate.read_bytes(), tls.key.read_bytes()) for name, tls in (("one", one), ("two", two))}
    files.certificate.write_bytes(both["one"][0])
    files.key.write_bytes(both["one"][1])
    files.key.chmod(0o600)
    context = ssl.create_default_context(cafile=authority.certificate)
    async with serving(tmp_path / "data", access=ServerAccess(tls=files)) as served:

        def shown() -> str:
            with (
                socket.create_connection(("127.0.0.1", served.server.port), timeout=20) as connection,
                context.wrap_socket(connection, server_hostname="localhost") as secured,
            ):
                subject = secured.getpeercert()["subject"]  # type: ignore[index]
                return dict(pair[0] for pair in subject)["commonName"]  # type: ignore[misc]

        assert await asyncio.to_thread(shown) == "before"
        # A renamed file is whole at once; the key comes first and alone for a moment, in one step here.
        combined = tmp_path / "new"
        combined.write_bytes(both["two"][0] + both["two"][1])
        combined.chmod(0o600)
        files.certificate.unlink()
        files.key.unlink()
        files.key.symlink_to(combined)
        files.certificate.symlink_to(combined)

        async with asyncio.timeout(20):
            while await asyncio.to_thread(shown) != "after":
                pass
