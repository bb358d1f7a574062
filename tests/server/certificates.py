"""A certificate authority of the test's own, made with the openssl command: keys that nobody else trusts."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from yoi_runtime.server.tls_files import TlsFiles

__all__ = ["Authority", "needs_openssl"]

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates with openssl")

_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=60)


@dataclass(frozen=True)
class Authority:
    """Who signs; ``certificate`` is what clients are told to trust."""

    directory: Path

    @classmethod
    def make(cls, directory: Path) -> Authority:
        directory.mkdir(exist_ok=True)
        subject = ["-subj", "/CN=test authority", "-days", "1"]
        _openssl(directory, "req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", *subject)
        return cls(directory)

    @property
    def certificate(self) -> Path:
        return self.directory / "ca.pem"

    def issue(self, name: str, hosts: str = "DNS:localhost,IP:127.0.0.1") -> TlsFiles:
        """Make a key and a certificate of it for these hosts."""
        key, request, extensions = f"{name}.key", f"{name}.csr", self.directory / f"{name}.ext"
        _openssl(self.directory, "req", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extensions.write_text(f"subjectAltName={hosts}\n")
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-extfile", extensions.name]
        _openssl(self.directory, "x509", "-req", "-in", request, *signing, "-out", f"{name}.pem")
        (self.directory / key).chmod(0o600)
        return TlsFiles(self.directory / f"{name}.pem", self.directory / key)
