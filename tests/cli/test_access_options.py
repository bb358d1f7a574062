from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from yoi_runtime.cli.access_options import chosen_token, hide_files, parse_allow_hosts, server_access, trusted_authority
from yoi_runtime.cli.operator_log import LogFormat, OperatorLog
from yoi_runtime.errors import SecretFileError
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.tls_files import TlsFiles


def test_names_of_hosts_are_read():
    names = ["runtime.example", "*", "192.0.2.1", "[2001:db8::1]", "2001:db8::1", "a"]
    assert parse_allow_hosts(names) == tuple(names)


@pytest.mark.parametrize("name", ["", "http://a", "a:80", "a/b", "a b", "a,b", "-a", "*.example", "a\n"])
def test_what_is_no_name_is_refused(name: str):
    with pytest.raises(ValueError, match="not the name of a host"):
        parse_allow_hosts([name])


def test_files_are_named_from_the_root_for_processes_that_stand_elsewhere():
    access = server_access(Path("t.json"), False, Path("c.pem"), Path("k.pem"), ("a",))
    assert access.token_file == Path.cwd() / "t.json"
    assert access.tls == TlsFiles(Path.cwd() / "c.pem", Path.cwd() / "k.pem")
    assert access.allow_hosts == ("a",)
    assert server_access(None, True, None, None, ()).insecure_no_token


def test_what_contradicts_itself_is_refused():
    with pytest.raises(ValueError, match="give one of the two"):
        server_access(Path("t.json"), True, None, None, ())
    for certificate, key in ((Path("c.pem"), None), (None, Path("k.pem"))):
        with pytest.raises(ValueError, match="--tls-cert and --tls-key"):
            server_access(None, False, certificate, key, ())


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_token_comes_from_its_file_before_the_environment(tmp_path: Path):
    path = written(tmp_path, "yoi_file\n")
    assert chosen_token(path, {"YOI_TOKEN": "yoi_variable"}) == "yoi_file"
    assert chosen_token(None, {"YOI_TOKEN": "yoi_variable\n"}) == "yoi_variable"
    assert chosen_token(None, {"YOI_TOKEN": ""}) is None
    assert chosen_token(None, {}) is None


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "a token and nothing else"),
        ("yoi_a\nyoi_b", "a token and nothing else"),
        ("yoi_ü", "a token and nothing else"),
        ('{"format":"yoi-tokens"}', "list of tokens"),
        ("x" * 5000, "another file"),
    ],
)
def test_what_is_no_token_is_told_and_not_quoted(tmp_path: Path, text: str, words: str):
    with pytest.raises(SecretFileError, match=words) as raised:
        chosen_token(written(tmp_path, text), {})
    assert "yoi_a" not in str(raised.value)


def test_a_token_that_others_can_read_is_refused(tmp_path: Path):
    path = written(tmp_path, "yoi_file")
    path.chmod(0o604)
    with pytest.raises(SecretFileError, match="chmod 600"):
        chosen_token(path, {})


def test_an_authority_is_read_or_told(tmp_path: Path):
    assert trusted_authority(None) is None
    with pytest.raises(SecretFileError, match="no certificate"):
        trusted_authority(written(tmp_path, "none"))
    with pytest.raises(SecretFileError, match="No such file"):
        trusted_authority(tmp_path / "none")


def test_the_log_calls_the_files_by_their_options_names(tmp_path: Path):
    log = OperatorLog(LogFormat.JSON)
    files = [tmp_path / name for name in ("tokens.json", "cert.pem", "key.pem")]
    hide_files(log, ServerAccess(token_file=files[0], tls=TlsFiles(*files[1:])))
    record = logging.LogRecord("t", logging.INFO, "", 1, " ".join(map(str, files)), (), None)
    assert json.loads(log.line(record))["message"] == "TOKEN_FILE TLS_CERT TLS_KEY"
    hide_files(log, ServerAccess())
