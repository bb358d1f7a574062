"""Who may come in and how many, as one argument of another process: what ``serve --processes`` hands to its others.

It holds names of files, and nothing that stands in them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.limits import Limits
from yoi_runtime.server.tls_files import TlsFiles

__all__ = ["door_argument", "read_door_argument"]


def door_argument(access: ServerAccess, limits: Limits) -> str:
    """Write both as JSON."""
    return json.dumps({"access": asdict(access), "limits": asdict(limits)}, default=str)


def read_door_argument(text: str) -> tuple[ServerAccess, Limits]:
    """Read what ``door_argument`` wrote. Raises ``ValueError``, ``TypeError`` or ``KeyError`` for anything else."""
    fields = json.loads(text)
    access = fields["access"]
    tls, token_file = access.pop("tls"), access.pop("token_file")
    return (
        ServerAccess(
            token_file=Path(token_file) if token_file is not None else None,
            tls=TlsFiles(Path(tls["certificate"]), Path(tls["key"])) if tls is not None else None,
            allow_hosts=tuple(access.pop("allow_hosts")),
            **access,
        ),
        Limits(**fields["limits"]),
    )
