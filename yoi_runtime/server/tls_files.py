"""A certificate and its key, from files, as a context for the server's end of TLS; made anew when they change."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

from yoi_runtime.errors import SecretFileError
from yoi_runtime.notices import Notice, named
from yoi_runtime.server.secret_file import FileStamp, read_secret_file, stamp_of

__all__ = ["TlsFiles", "TlsIdentity", "server_context"]

_log = logging.getLogger("yoi_runtime.server")

_MAX_KEY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where they are: PEM, the certificate with its chain."""

    certificate: Path
    key: Path


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Make a context: TLS 1.2 or later, this certificate, no renegotiation, no compression.

    Raises:
        SecretFileError: a file cannot be used, or the two do not belong together.
    """
    key, _ = read_secret_file(files.key, _MAX_KEY_BYTES, "the key")
    if b"ENCRYPTED" in key:
        # OpenSSL would ask on the terminal.
        raise SecretFileError(files.key, "the key is encrypted; a server cannot ask for its password")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files.certificate, files.key)
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in (error.reason or ""):
            raise SecretFileError(files.certificate, "the certificate is not of this key") from error
        what = (error.reason or "no PEM in it").lower().replace("_", " ")
        raise SecretFileError(files.certificate, f"the certificate and its key cannot be used: {what}") from error
    except OSError as error:
        raise SecretFileError(files.certificate, f"the certificate cannot be read: {error.strerror}") from error
    return context


class TlsIdentity:
    """The context for new connections; open ones keep theirs. One event loop."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files. Raises as ``server_context``."""
        self._files = files
        self._stamps = self._look_up()
        self.context = server_context(files)

    def look(self) -> bool:
        """Take over new files, and say whether there are any. Ones that cannot be used change nothing but the log."""
        stamps = self._look_up()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        try:
            self.context = server_context(self._files)
        except SecretFileError as error:
            _log.error(
                "certificate or key have changed and cannot be used: %s; the old ones stay",
                error.reason,
                extra=named(Notice.CERTIFICATE_UNUSABLE),
            )
            return False
        _log.info("certificate and key have changed", extra=named(Notice.CERTIFICATE_RELOADED))
        return True

    def _look_up(self) -> tuple[FileStamp | None, FileStamp | None]:
        return stamp_of(self._files.certificate), stamp_of(self._files.key)
