"""``DATA_DIR/runtime.sock``: how it comes into being, how it is reached, and who is at the other end of it.

The address of a Unix socket holds about 107 bytes, a path may have 4,095: where the path is too long, the directory
is opened and the socket named beneath that descriptor, ``/proc/self/fd/7/runtime.sock`` (Linux).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["SOCKET_NAME", "connect", "is_welcome", "listen", "peer_uid", "remove"]

SOCKET_NAME: Final = "runtime.sock"
# sun_path less its end mark: 108 on Linux, 104 on macOS and the BSDs.
_MAX_ADDRESS_BYTES = 107 if sys.platform == "linux" else 103
_DESCRIPTORS = Path("/proc/self/fd")
_BACKLOG = 128
# pid, uid, gid: struct ucred of unix(7).
_CREDENTIALS = struct.Struct("iii")


def listen(data_dir: Path) -> socket.socket:
    """Return a socket that listens at ``data_dir``, for its owner alone. The caller holds the log there.

    Whatever was there of a Runtime that is gone is replaced in one step: at no moment is there no socket, or one that
    others may connect to. Its mode is set before it listens, so the process's umask is left alone.

    Raises:
        OSError: there can be no socket; nothing was changed.
    """
    # Ours alone: we hold the log, and nobody else makes one here.
    name = f".{SOCKET_NAME}.{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path = data_dir / name
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        # Linux makes the file with the mode that the socket has now, others with what the umask leaves of 0777.
        os.fchmod(listener.fileno(), 0o600)
        with _address(path) as address:
            listener.bind(address)
        try:
            # Nobody can connect before it listens.
            path.chmod(0o600)
            listener.listen(_BACKLOG)
            path.replace(data_dir / SOCKET_NAME)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def remove(data_dir: Path) -> None:
    """Remove the socket of a Runtime that stops. The caller still holds the log, so nobody else's can be there."""
    path = data_dir / SOCKET_NAME
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()


def connect(data_dir: Path) -> socket.socket:
    """Return a socket that is connected to the Runtime of ``data_dir``, run by this user, the directory's owner or root.

    Does not wait for anything: a Runtime whose backlog is full refuses with ``BlockingIOError``.

    Raises:
        OSError: nobody listens there (``FileNotFoundError``, ``ConnectionRefusedError``), or it is not ours to reach.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        with _address(data_dir / SOCKET_NAME) as address:
            connection.connect(address)
        # Whoever may write to the directory could put another socket there. Root may bring Workers to anybody's Runtime.
        if not is_welcome(peer_uid(connection), os.geteuid(), data_dir.stat().st_uid):
            reason = "the process that listens there runs as another user"
            raise PermissionError(errno.EPERM, reason, str(data_dir / SOCKET_NAME))
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """Yield a path that names the socket at ``path`` and fits into an address."""
    if len(os.fsencode(path)) <= _MAX_ADDRESS_BYTES:
        yield str(path)
        return
    if not _DESCRIPTORS.is_dir():
        reason = f"a socket's path has at most {_MAX_ADDRESS_BYTES} bytes here; choose a shorter data directory"
        raise OSError(errno.ENAMETOOLONG, reason, str(path))
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield str(_DESCRIPTORS / str(directory) / path.name)
    finally:
        os.close(directory)


def peer_uid(connection: socket.socket) -> int | None:
    """Return the user id of the process at the other end as it connected or listened, None where that is not told."""
    option: int | None = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def is_welcome(uid: int | None, *trusted_uids: int) -> bool:
    """Say whether a process of user ``uid`` is to be spoken with: root's is. Where it is not told, the file's mode decides."""
    return uid in (None, 0, *trusted_uids)
