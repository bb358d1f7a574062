"""The adapters by name: ours, and those that installed distributions bring (entry point group ``yoi_runtime.adapters``).

An entry point names a callable that takes ``NowMs`` and returns an ``Adapter``; a subclass of ``AgentAdapter`` is
one. It is loaded when its name is asked for, not before. Example: docs/examples/adapter/.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Final, TypeAlias

from yoi_runtime.errors import AdapterError
from yoi_runtime.events.event import Event
from yoi_runtime.events.output_events import TextDone
from yoi_runtime.events.vocabulary import RESERVED_EVENT_NAMES
from yoi_runtime.notices import Notice, named
from yoi_runtime.workers.adapters.adapter import Adapter, NowMs, quote, wall_clock_ms, worker_alert
from yoi_runtime.workers.adapters.auto_adapter import AGENT_ADAPTERS, AutoAdapter
from yoi_runtime.workers.adapters.line_adapters import JsonlAdapter, LinesAdapter
from yoi_runtime.workers.line_splitter import Line

__all__ = ["ADAPTER_GROUP", "ADAPTER_NAMES", "AdapterName", "foreign_adapter_names", "make_adapter"]

_log = logging.getLogger("yoi_runtime.workers")

AdapterName: TypeAlias = str
ADAPTER_GROUP: Final = "yoi_runtime.adapters"

_OURS: Final[dict[str, Callable[[NowMs], Adapter]]] = {
    "auto": AutoAdapter,
    "lines": LinesAdapter,
    "jsonl": JsonlAdapter,
    **{adapter.name: adapter for adapter in AGENT_ADAPTERS},
}
ADAPTER_NAMES: tuple[AdapterName, ...] = tuple(_OURS)
"""Ours; others come by entry points and cannot take these names."""


def make_adapter(name: AdapterName, now_ms: NowMs = wall_clock_ms) -> Adapter:
    """Return a new adapter, for one run of one Worker.

    Raises:
        AdapterError: there is none of this name, or the distribution that brings it is broken.
    """
    ours = _OURS.get(name)
    return ours(now_ms) if ours is not None else _GuardedAdapter(name, _foreign(name, now_ms), now_ms)


def foreign_adapter_names() -> list[str]:
    """Return the names that installed distributions bring; none of them is loaded."""
    return sorted({entry.name for entry in entry_points(group=ADAPTER_GROUP)} - _OURS.keys())


def _foreign(name: str, now_ms: NowMs) -> Adapter:
    found = list(entry_points(group=ADAPTER_GROUP, name=name))
    if not found:
        raise AdapterError(name, None, f"is none of {', '.join([*ADAPTER_NAMES, *foreign_adapter_names()])}")
    sources = sorted({_distribution(entry) for entry in found})
    if len(sources) > 1:
        raise AdapterError(name, None, f"comes from several distributions: {', '.join(sources)}; uninstall all but one")
    try:
        adapter = found[0].load()(now_ms)
    except Exception as error:  # somebody else's code: whatever it raises, it is broken
        raise AdapterError(name, sources[0], f"cannot be loaded: {type(error).__name__}: {error}") from error
    missing = [
        part for part in ("stdout_line", "stderr_line", "stdout_end") if not callable(getattr(adapter, part, None))
    ]
    if missing:
        raise AdapterError(name, sources[0], f"is no adapter: it has no {', '.join(missing)}")
    result: Adapter = adapter
    return result


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unnamed distribution"


def _checked(events: Iterable[object]) -> list[Event]:
    """Return what somebody else's adapter returned.

    Raises:
        TypeError: it is no events.
        ValueError: one of them only the Runtime may emit.
    """
    checked = []
    for event in events:
        if not isinstance(event, Event):
            raise TypeError(f"{type(event).__name__} is no event")
        if event.event_name in RESERVED_EVENT_NAMES:
            raise ValueError(f"{event.event_name} is said by the Runtime only")
        checked.append(event)
    return checked


class _GuardedAdapter:
    """Somebody else's adapter: what it raises costs the line its meaning, not the Worker its life."""

    def __init__(self, name: str, adapter: Adapter, now_ms: NowMs) -> None:
        self._name = name
        self._adapter = adapter
        self._now_ms = now_ms
        self._has_warned = False

    def stdout_line(self, line: Line) -> list[Event]:
        try:
            return _checked(self._adapter.stdout_line(line))
        except Exception as error:  # noqa: BLE001  # see the class
            return [
                TextDone(text=line.data.decode("utf-8", "replace")),
                self._failed(f"stdout line {line.number}", error),
            ]

    def stderr_line(self, line: Line) -> list[Event]:
        try:
            return _checked(self._adapter.stderr_line(line))
        except Exception as error:  # noqa: BLE001  # see the class
            text = worker_alert("warn", line.data.decode("utf-8", "replace"), self._now_ms)
            return [text, self._failed(f"stderr line {line.number}", error)]

    def stdout_end(self) -> list[Event]:
        try:
            return _checked(self._adapter.stdout_end())
        except Exception as error:  # noqa: BLE001  # see the class
            return [self._failed("the end of stdout", error)]

    def _failed(self, where: str, error: Exception) -> Event:
        if not self._has_warned:
            # Once. The text of the error may hold paths of ours: it goes to our own log alone.
            self._has_warned = True
            _log.warning(
                "the adapter %s failed at %s",
                self._name,
                where,
                exc_info=error,
                extra=named(Notice.ADAPTER_FAILED, adapter=self._name),
            )
        message = f"{where}: the adapter {self._name} failed: {quote(type(error).__name__)}"
        return worker_alert("error", message, self._now_ms)
