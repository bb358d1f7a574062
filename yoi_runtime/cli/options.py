"""What stands behind the options: addresses, sizes, durations and Workers, read from text. Pure.

Every parser raises ``ValueError`` with a sentence for the person who typed the value.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, TypeVar, get_args

from yoi_runtime.cli.operator_log import LOG_LEVELS, LogFormat
from yoi_runtime.errors import AdapterError, RequestInvalidError, WorkerIdInvalidError
from yoi_runtime.protocol.paths import events_url
from yoi_runtime.protocol.versions import ProtocolVersion
from yoi_runtime.segment_log.commit import Durability
from yoi_runtime.segment_log.options import LogOptions
from yoi_runtime.transcript.options import TranscriptOptions
from yoi_runtime.workers.restart_policy import RestartWhen
from yoi_runtime.workers.terminal import TerminalOptions
from yoi_runtime.workers.worker_id import check_worker_id

if TYPE_CHECKING:
    from yoi_runtime.workers.adapters import AdapterName

__all__ = [
    "DEFAULT_CACHE_BYTES",
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "DEFAULT_RECONNECT",
    "NO_LIMIT",
    "Address",
    "StartName",
    "WorkerSpec",
    "check_id",
    "or_no_limit",
    "parse_adapter",
    "parse_bind",
    "parse_durability",
    "parse_duration",
    "parse_linger",
    "parse_log_format",
    "parse_log_level",
    "parse_mode",
    "parse_pty_size",
    "parse_restart",
    "parse_segment_size",
    "parse_server_url",
    "parse_size",
    "parse_start",
    "parse_transcript_bytes",
    "parse_transcript_items",
    "parse_worker",
    "parse_workers",
    "worker_id_from_command",
]

_T = TypeVar("_T")
StartName: TypeAlias = Literal["oldest", "now"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 38800
DEFAULT_CACHE_BYTES = 64 << 20
# Longer than a restart, with what it may have to recover.
DEFAULT_RECONNECT = "5m"
# Instead of a size or an age: that rule does not apply.
NO_LIMIT = "off"

_MAX_WORKER_ID = 64
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw])")
_PTY_SIZE = re.compile(r"([0-9]{1,6})[xX]([0-9]{1,6})", re.ASCII)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}
# As dd(1) and its family read them: K and KiB are 1024 bytes, KB is 1000.
_SIZE = re.compile(r"([0-9]+)(?:([kmgt])(i?b)?|b)?", re.IGNORECASE)


class Address(NamedTuple):
    """Where a server listens; port 0 lets the system choose one."""

    host: str
    port: int


class WorkerSpec(NamedTuple):
    """A Worker and the command that is to be it."""

    worker_id: str
    command: tuple[str, ...]


def parse_bind(text: str) -> Address:
    """Read ``HOST:PORT``, ``[IPv6]:PORT`` or ``:PORT``, which means 127.0.0.1."""
    host, colon, port_text = text.rpartition(":")
    if not colon:
        raise ValueError(f"{text!r} has no port; write HOST:PORT, for example 127.0.0.1:{DEFAULT_PORT}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r} is ambiguous; write an IPv6 address in brackets, [::1]:{DEFAULT_PORT}")
    if not (port_text.isascii() and port_text.isdigit()) or int(port_text[:6]) > 65535:
        raise ValueError(f"{port_text!r} is not a port from 0 to 65535")
    return Address(host or DEFAULT_HOST, int(port_text))


def parse_duration(text: str) -> float:
    """Read ``90s``, ``15m``, ``2h``, ``7d`` or ``1w`` and return seconds."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration; write a number and s, m, h, d or w: 90s, 15m, 2h, 7d")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds <= 0:
        raise ValueError(f"{text!r} is no time at all")
    return seconds


def parse_mode(text: str) -> ProtocolVersion:
    """Read the name of a version of the protocol."""
    try:
        return ProtocolVersion(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither {ProtocolVersion.V0} nor {ProtocolVersion.V1}") from None


def parse_linger(text: str) -> float:
    """Read seconds, as a plain number or a duration, and return them."""
    return float(text) if _NUMBER.fullmatch(text) else parse_duration(text)


def parse_size(text: str) -> int:
    """Read ``65536``, ``64KiB``, ``16M`` or ``1GiB`` and return bytes."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a size; write bytes, or a number and KiB, MiB or GiB: 16MiB")
    letter, suffix = found[2], found[3]
    base = 1000 if suffix is not None and suffix.lower() == "b" else 1024
    power = _POWERS[letter.lower()] if letter is not None else 0
    size = int(found[1]) * int(base**power)
    if size == 0:
        raise ValueError(f"{text!r} leaves no room at all")
    return size


def parse_segment_size(text: str) -> int:
    """Read the size of a segment, which has a lower limit, and return bytes."""
    size = parse_size(text)
    LogOptions(segment_bytes=size)  # raises ValueError when it is too small
    return size


def parse_transcript_items(text: str) -> int:
    """Read how many items of a Worker's transcript are kept."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise ValueError(f"{text!r} is not a number of items; write a whole number from 1 on")
    return int(text)


def parse_transcript_bytes(text: str) -> int:
    """Read how many bytes of a Worker's transcript are kept; they have a lower limit."""
    size = parse_size(text)
    TranscriptOptions(max_bytes=size)  # raises ValueError when it is too small
    return size


def or_no_limit(parse: Callable[[str], _T]) -> Callable[[str], _T | None]:
    """Return a parser that also reads ``off``, as None."""
    return lambda text: None if text == NO_LIMIT else parse(text)


def parse_adapter(text: str) -> AdapterName:
    """Read the name of an adapter; one that an installed distribution brings is loaded, to see that it can be."""
    from yoi_runtime.workers.adapters import make_adapter  # brings all events

    try:
        make_adapter(text)
    except AdapterError as error:
        raise ValueError(str(error)) from None
    return text


def parse_durability(text: str) -> Durability:
    """Read when an event is shown."""
    return _one_of(get_args(Durability), text)


def parse_restart(text: str) -> RestartWhen:
    """Read when a Worker runs again."""
    return _one_of(get_args(RestartWhen), text)


def parse_pty_size(text: str) -> tuple[int, int]:
    """Read ``120x40``, columns and rows."""
    found = _PTY_SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not COLUMNSxROWS, for example 120x40")
    columns, rows = int(found[1]), int(found[2])
    TerminalOptions(columns, rows)  # raises ValueError for a window that is too small or too large
    return columns, rows


def parse_start(text: str) -> StartName:
    """Read where to begin."""
    return _one_of(get_args(StartName), text)


def parse_log_format(text: str) -> LogFormat:
    """Read what a line of the program's own log looks like."""
    return _one_of(list(LogFormat), text)


def parse_log_level(text: str) -> str:
    """Read from which level on something is logged."""
    return _one_of(LOG_LEVELS, text)


def _one_of(choices: Sequence[_T], text: str) -> _T:
    for choice in choices:
        if choice == text:
            return choice
    raise ValueError(f"{text!r} is none of {', '.join(map(str, choices))}")


def parse_server_url(text: str) -> str:
    """Read the address of a server; ``HOST:PORT`` alone is meant as http."""
    url = text if "://" in text else f"http://{text}"
    try:
        events_url(url)
    except RequestInvalidError as error:
        raise ValueError(f"the URL {error.reason}") from None
    return url.rstrip("/")


def check_id(text: str) -> str:
    """Return a Worker id when it is one."""
    try:
        return check_worker_id(text)
    except WorkerIdInvalidError as error:
        raise ValueError(str(error)) from None


def parse_worker(text: str) -> WorkerSpec:
    """Read ``ID=COMMAND``; the command is split into words as a shell would, and no shell runs."""
    worker_id, equals, command_text = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not ID=COMMAND")
    check_id(worker_id)
    try:
        command = tuple(shlex.split(command_text))
    except ValueError as error:
        raise ValueError(f"{command_text!r} cannot be split into words: {error}") from None
    if not command:
        raise ValueError(f"{text!r} has no command after the =")
    return WorkerSpec(worker_id, command)


def parse_workers(texts: Iterable[str]) -> list[WorkerSpec]:
    """Read several ``ID=COMMAND``; no id may come twice."""
    workers: dict[str, WorkerSpec] = {}
    for worker in map(parse_worker, texts):
        if worker.worker_id in workers:
            raise ValueError(f"the Worker id {worker.worker_id} is given twice")
        workers[worker.worker_id] = worker
    return list(workers.values())


def worker_id_from_command(command: Sequence[str]) -> str:
    """Make a Worker id of a command's base name: ``/opt/my.agent`` becomes ``my-agent``."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", PurePath(command[0]).name)
    return name[:_MAX_WORKER_ID].strip("-") or "worker"
