"""The metrics of several server processes on one address, whichever of them is asked.

Each listens on a Unix socket in a directory of their own, and writes its exposition to whoever connects. A process that
is scraped asks the others, puts a label ``process`` on everything, and answers for all. Who does not answer in time is
missing in that answer: Prometheus sees a gap, not a zero. Decision: docs/decisions/0033-what-is-measured.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from yoi_runtime.notices import Notice, named
from yoi_runtime.server.metrics import ServerMetrics

__all__ = ["SiblingMetrics", "SiblingPlace"]

_log = logging.getLogger("yoi_runtime.server")

_ANSWER_SECONDS = 2.0
_LONGEST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class SiblingPlace:
    """Where one of several processes is found by the others: in ``directory``, theirs alone, under its number."""

    directory: Path
    number: int


class SiblingMetrics:
    """One process's door to the others."""

    def __init__(self, own: ServerMetrics, place: SiblingPlace) -> None:
        self._own = own
        self._directory = place.directory
        self._number = place.number
        self._listening: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen for the others; where that cannot be, say so, and be missing in their answers."""
        path = self._path(self._number)
        try:
            path.unlink(missing_ok=True)
            self._listening = await asyncio.start_unix_server(self._answer, path)
        except OSError as error:
            _log.warning(
                "server process %d is missing in the others' metrics: %s",
                self._number,
                error.strerror or error,
                extra=named(Notice.SERVER_PROCESS_UNMEASURED, process=self._number),
            )

    async def stop(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.close()
            self._path(self._number).unlink(missing_ok=True)

    async def exposition(self) -> bytes:
        """Return what all processes say, in the text format."""
        numbers = sorted(int(path.stem) for path in self._directory.glob("*.sock") if path.stem.isdigit())
        others = [number for number in numbers if number != self._number]
        texts = await asyncio.gather(self._own_text(), *map(self._ask, others))
        said = {number: text for number, text in zip([self._number, *others], texts, strict=True) if text}
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Merged(_merge(said)))
        return generate_latest(registry)

    async def _own_text(self) -> str:
        return generate_latest(await self._own.registry()).decode()

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write((await self._own_text()).encode())
            await writer.drain()
        except OSError:
            return
        finally:
            writer.close()

    async def _ask(self, number: int) -> str:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._path(number))
                try:
                    text = b""
                    while len(text) < _LONGEST_BYTES and (more := await reader.read(1 << 16)):
                        text += more
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            # It ends, or has just been started, or is held up: its series say so by their absence.
            return ""
        return text.decode()

    def _path(self, number: int) -> Path:
        return self._directory / f"{number}.sock"


# A registry keeps its collectors by identity.
@dataclass(frozen=True, slots=True, eq=False)
class _Merged(Collector):
    families: Iterable[Metric]

    def collect(self) -> Iterator[Metric]:
        return iter(self.families)


def _merge(said: dict[int, str]) -> list[Metric]:
    """Return one family for each name, with everybody's samples in it."""
    merged: dict[str, Metric] = {}
    for number, text in sorted(said.items()):
        for family in text_string_to_metric_families(text):
            into = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            into.samples += [
                sample._replace(labels={**sample.labels, "process": str(number)}) for sample in family.samples
            ]
    return list(merged.values())
