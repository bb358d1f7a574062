"""A Runtime with its server in one process: opened, announced in ``server.json``, and taken down in order."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from yoi_runtime.cli import operator_log
from yoi_runtime.cli.exit_codes import say, sentence_of
from yoi_runtime.cli.extras import load_event_server
from yoi_runtime.cli.log_watch import LogWatch
from yoi_runtime.cli.options import DEFAULT_CACHE_BYTES, Address
from yoi_runtime.cli.server_file import ServerInfo, remove_server_file, write_server_file
from yoi_runtime.cli.server_orders import ServerOrders
from yoi_runtime.cli.server_processes import ServerProcesses
from yoi_runtime.cli.worker_plan import STOP_GRACE_SECONDS
from yoi_runtime.notices import Notice
from yoi_runtime.runtime.child_workers import ChildWorkers
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.server.access import ServerAccess
from yoi_runtime.server.limits import Limits
from yoi_runtime.transcript.kept_transcripts import KeptTranscripts
from yoi_runtime.transcript.options import TranscriptOptions

if TYPE_CHECKING:
    from yoi_runtime.server.event_server import EventServer
    from yoi_runtime.server.sibling_metrics import SiblingPlace

__all__ = ["ServeOptions", "ServedRuntime"]

# Of the 10 s in which everything has to be down, after the grace of a child: how long its last output may wait for a log
# that takes nothing. One second more for its pipes, three for subscribers.
_LAST_OUTPUT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where to keep the log and how, how much of the transcripts (None: keep none), where to serve it and to whom.

    ``processes``: how many serve. ``cache_bytes``: how much of the log each keeps in memory.
    """

    data_dir: Path
    bind: Address
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    transcripts: TranscriptOptions | None = field(default_factory=TranscriptOptions)
    processes: int = 1
    cache_bytes: int = DEFAULT_CACHE_BYTES
    access: ServerAccess = field(default_factory=ServerAccess)
    limits: Limits = field(default_factory=Limits)


class ServedRuntime:
    """Made by ``start``, taken down by ``stop``; in between, ``children`` starts Workers. One event loop, main thread."""

    def __init__(
        self, options: ServeOptions, runtime: Runtime, transcripts: KeptTranscripts | None, server: EventServer
    ) -> None:
        self.data_dir = options.data_dir
        self._options = options
        self._others: ServerProcesses | None = None
        self._shared: list[socket.socket] = []
        self.runtime = runtime
        self.transcripts = transcripts
        self.server = server
        self.children = ChildWorkers(
            runtime, grace_seconds=STOP_GRACE_SECONDS, last_output_seconds=_LAST_OUTPUT_SECONDS
        )
        self._metrics_directory: tempfile.TemporaryDirectory[str] | None = None
        self._watching = asyncio.create_task(LogWatch(runtime.figures).run(), name="log watch")

    @classmethod
    async def start(cls, options: ServeOptions) -> ServedRuntime:
        """Open the Runtime, serve it, and write ``server.json``.

        Raises:
            MissingExtraError: the extra ``ws-server`` is not installed; nothing was opened.
            LogHeldError: another process is the Runtime of this directory.
            LogError: the log cannot be opened.
            AccessError: nobody would be asked for a token, or a file of tokens or keys cannot be used.
            OSError: the directory cannot be used, or the address is taken. In all cases nothing is left open.
        """
        event_server = load_event_server()
        # Before the log is made or changed.
        options.access.check_bind(options.bind.host)
        runtime = Runtime.open(options.data_dir, options.runtime)
        transcripts, shared, metrics_directory = None, list[socket.socket](), None
        try:
            _listen(runtime)
            if options.processes > 1:
                # Short: the path of a Unix socket has about 100 characters at most.
                metrics_directory = tempfile.TemporaryDirectory(prefix="yoi-", ignore_cleanup_errors=True)
            if options.transcripts is not None:
                transcripts = KeptTranscripts(options.data_dir, runtime.log_directory, options.transcripts)
            listening = event_server.bind(*options.bind)
            # Copies: the server closes its own at its end, and those that a dead process is replaced by need theirs.
            shared = [listener.dup() for listener in listening] if options.processes > 1 else []
            server = await event_server.start(
                options.data_dir,
                *options.bind,
                listening=listening,
                cache_bytes=options.cache_bytes,
                transcripts=transcripts.reader if transcripts is not None else None,
                access=options.access,
                limits=options.limits,
                figures=runtime.figures,
                workers=runtime.worker_counts,
                siblings=_place_of(metrics_directory, 0),
            )
        except BaseException:
            if metrics_directory is not None:
                metrics_directory.cleanup()
            runtime.close("cannot serve")
            for listener in shared:
                listener.close()
            if transcripts is not None:
                await transcripts.stop()
            raise
        served = cls(options, runtime, transcripts, server)
        served._shared, served._metrics_directory = shared, metrics_directory
        try:
            if shared:
                log_format, log_level = operator_log.form_and_level()
                orders = ServerOrders(
                    options.data_dir,
                    Address(options.bind.host, server.port),
                    tuple(listener.fileno() for listener in shared),
                    # The first one is this process.
                    number=1,
                    cache_bytes=options.cache_bytes,
                    transcripts=options.transcripts is not None,
                    access=options.access,
                    limits=options.limits,
                    log_format=log_format,
                    log_level=log_level,
                    metrics_directory=Path(metrics_directory.name) if metrics_directory is not None else None,
                )
                served._others = ServerProcesses(options.processes - 1, orders)
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
        self.server = await load_event_server().start(
            self.data_dir,
            self._options.bind.host,
            self.server.port,
            cache_bytes=self._options.cache_bytes,
            transcripts=self.transcripts.reader if self.transcripts is not None else None,
            access=self._options.access,
            limits=self._options.limits,
            figures=self.runtime.figures,
            workers=self.runtime.worker_counts,
            siblings=_place_of(self._metrics_directory, 0),
        )

    def problem(self, patience_seconds: float) -> str | None:
        """Return what keeps this process from doing its work, None when nothing does: for a watchdog."""
        figures = self.runtime.figures
        if figures.failure is not None:
            return "the log is out of service"
        stuck = figures.stuck_seconds()
        return f"the disk has not answered for {stuck:.0f} s" if stuck > patience_seconds else None

    async def stop(self, reason: str) -> None:
        """Refuse new subscribers, stop the children, close the log, remove ``server.json``, stop transcripts and servers.

        Each step is taken whatever became of the one before. In that order, because subscribers and transcripts still
        get the log's last events. Takes less than 10 s while the disk answers and no Worker was given more grace than usual.

        Raises:
            LogError, OSError: the last events may not have been written.
        """
        self._watching.cancel()
        self.server.refuse()
        if self._others is not None:
            self._others.refuse()
        try:
            await self.children.stop(reason)
        finally:
            try:
                self.runtime.close(reason)
            finally:
                try:
                    remove_server_file(self.data_dir, os.getpid())
                finally:
                    await self._stop_servers()
                    if self._metrics_directory is not None:
                        self._metrics_directory.cleanup()

    async def _stop_servers(self) -> None:
        stopping = [self.server.stop()]
        if self.transcripts is not None:
            stopping.append(self.transcripts.stop())
        if self._others is not None:
            stopping.append(self._others.stop())
        for listener in self._shared:
            listener.close()
        await asyncio.gather(*stopping)


def _place_of(directory: tempfile.TemporaryDirectory[str] | None, number: int) -> SiblingPlace | None:
    if directory is None:
        return None
    from yoi_runtime.server.sibling_metrics import SiblingPlace

    return SiblingPlace(Path(directory.name), number)


def _listen(runtime: Runtime) -> None:
    """Let programs of this machine bring Workers; not every file system has sockets, and serving needs none there."""
    try:
        runtime.listen()
    except OSError as error:
        sentence = f"warning: programs of this machine cannot bring Workers: {sentence_of(error)}"
        say(sentence, Notice.INGEST_UNAVAILABLE)
