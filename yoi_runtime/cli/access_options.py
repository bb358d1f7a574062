"""What the options about tokens, TLS and limits come to. Raises ``ValueError`` with a sentence for who typed them."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

from yoi_runtime.cli.operator_log import OperatorLog
from yoi_runtime.errors import SecretFileError
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.secret_file import read_secret_file
from yoi_runtime.server.tls_files import TlsFiles

__all__ = ["TOKEN_VARIABLE", "chosen_token", "hide_files", "parse_allow_hosts", "server_access", "trusted_authority"]

TOKEN_VARIABLE = "YOI_TOKEN"  # noqa: S105 - the variable's name

_HOST_NAME = re.compile(r"\*|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[?[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\]?")
_MAX_TOKEN_FILE_BYTES = 4096


def parse_allow_hosts(texts: Sequence[str]) -> tuple[str, ...]:
    """Read names of hosts, without a port."""
    for text in texts:
        if _HOST_NAME.fullmatch(text) is None:
            raise ValueError(f"{text!r} is not the name of a host; write it without scheme and port, or * for any")
    return tuple(texts)


def server_access(
    token_file: Path | None,
    insecure_no_token: bool,
    tls_certificate: Path | None,
    tls_key: Path | None,
    allow_hosts: tuple[str, ...],
) -> ServerAccess:
    """Put together who may connect. Files are made absolute: another process may read them, too."""
    if insecure_no_token and token_file is not None:
        raise ValueError("--token-file asks for tokens and --insecure-no-token does not; give one of the two")
    if (tls_certificate is None) != (tls_key is None):
        raise ValueError("TLS needs --tls-cert and --tls-key")
    tls = None
    if tls_certificate is not None and tls_key is not None:
        tls = TlsFiles(tls_certificate.absolute(), tls_key.absolute())
    return ServerAccess(
        token_file=token_file.absolute() if token_file is not None else None,
        insecure_no_token=insecure_no_token,
        allow_hosts=allow_hosts,
        tls=tls,
    )


def hide_files(log: OperatorLog, access: ServerAccess) -> None:
    """Have the log call these files by their options' names."""
    if access.token_file is not None:
        log.hide(access.token_file, "TOKEN_FILE")
    if access.tls is not None:
        log.hide(access.tls.certificate, "TLS_CERT")
        log.hide(access.tls.key, "TLS_KEY")


def chosen_token(token_file: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the token to show: what stands in the file, else in $YOI_TOKEN, else None. It is quoted in no error.

    Raises:
        SecretFileError: the file cannot be used; says what to do.
    """
    if token_file is None:
        return environment.get(TOKEN_VARIABLE, "").strip() or None
    data, _ = read_secret_file(token_file, _MAX_TOKEN_FILE_BYTES, "the file with the token")
    token = data.decode("ascii", "replace").strip()
    if token.startswith("{"):
        raise SecretFileError(token_file, "this is a server's list of tokens, not a token; it holds none")
    if re.fullmatch(r"[\x21-\x7e]+", token) is None:
        raise SecretFileError(token_file, "the file with the token has to hold a token and nothing else")
    return token


def trusted_authority(certificate: Path | None) -> ssl.SSLContext | None:
    """Return a client's context that trusts the certificates of this file instead of the system's; None for None.

    Raises:
        SecretFileError: there are none in it.
    """
    if certificate is None:
        return None
    try:
        return ssl.create_default_context(cafile=certificate)
    except ssl.SSLError as error:
        raise SecretFileError(certificate, "there is no certificate (PEM) in it") from error
    except OSError as error:
        raise SecretFileError(certificate, f"the certificate cannot be read: {error.strerror}") from error
