"""A Runtime with its server in one process: opened, announced in ``server.json``, and taken down in order."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from yoi_runtime.cli.extras import load_event_server
from yoi_runtime.cli.options import Address
from yoi_runtime.cli.server_file import ServerInfo, remove_server_file, write_server_file
from yoi_runtime.runtime.child_workers import ChildWorkers
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.transcript.kept_transcripts import KeptTranscripts
from yoi_runtime.transcript.options import TranscriptOptions

if TYPE_CHECKING:
    from yoi_runtime.server.event_server import EventServer

__all__ = ["ServeOptions", "ServedRuntime"]


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where to keep the log and how, how much of the transcripts (None: keep none), and where to serve it."""

    data_dir: Path
    bind: Address
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    transcripts: TranscriptOptions | None = field(default_factory=TranscriptOptions)


class ServedRuntime:
    """Made by ``start``, taken down by ``stop``; in between, ``children`` starts Workers. One event loop, main thread."""

    def __init__(
        self, data_dir: Path, host: str, runtime: Runtime, transcripts: KeptTranscripts | None, server: EventServer
    ) -> None:
        self.data_dir = data_dir
        self._host = host
        self.runtime = runtime
        self.transcripts = transcripts
        self.server = server
        self.children = ChildWorkers(runtime)

    @classmethod
    async def start(cls, options: ServeOptions) -> ServedRuntime:
        """Open the Runtime, serve it, and write ``server.json``.

        Raises:
            MissingExtraError: the extra ``ws-server`` is not installed; nothing was opened.
            LogHeldError: another process is the Runtime of this directory.
            LogError: the log cannot be opened.
            OSError: the directory cannot be used, or the address is taken. In all cases nothing is left open.
        """
        event_server = load_event_server()
        runtime = Runtime.open(options.data_dir, options.runtime)
        transcripts = None
        try:
            if options.transcripts is not None:
                transcripts = KeptTranscripts(options.data_dir, runtime.log_directory, options.transcripts)
            source = transcripts.reader if transcripts is not None else None
            server = await event_server.start(options.data_dir, *options.bind, transcripts=source)
        except BaseException:
            runtime.close("cannot serve")
            if transcripts is not None:
                await transcripts.stop()
            raise
        served = cls(options.data_dir, options.bind.host, runtime, transcripts, server)
        try:
            write_server_file(options.data_dir, ServerInfo(server.url, os.getpid(), runtime.log_id))
        except BaseException:
            await served.stop("cannot serve")
            raise
        return served

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def description(self) -> str:
        """What is served, in one line for people."""
        return f"serving {self.url} (log {self.runtime.log_id}, data {self.data_dir})"

    async def stop_server(self) -> None:
        """Stop the server alone; the Runtime and its Workers go on."""
        await self.server.stop()

    async def start_server(self) -> None:
        """Serve again, at the same address. Raises as ``start``."""
        source = self.transcripts.reader if self.transcripts is not None else None
        self.server = await load_event_server().start(self.data_dir, self._host, self.server.port, transcripts=source)

    async def stop(self, reason: str) -> None:
        """Stop the children, close the log, remove ``server.json``, stop transcripts and server, whatever fails.

        The log first: subscribers and transcripts still get its last events.

        Raises:
            LogError, OSError: the last events may not have been written.
        """
        try:
            await self.children.stop(reason)
        finally:
            try:
                self.runtime.close(reason)
            finally:
                try:
                    remove_server_file(self.data_dir, os.getpid())
                finally:
                    try:
                        if self.transcripts is not None:
                            await self.transcripts.stop()
                    finally:
                        await self.server.stop()
