"""``yoi-runtime tail``: follows a Runtime's events in the terminal, as a Backend would."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from yoi_runtime.cli.access_options import chosen_token, trusted_authority
from yoi_runtime.cli.exit_codes import ExitCode, exit_code_of, say, sentence_of, signal_exit_code
from yoi_runtime.cli.invocation import program
from yoi_runtime.cli.options import StartName
from yoi_runtime.cli.output import EventOutput, make_output
from yoi_runtime.cli.server_file import find_server, process_is_alive, read_server_file
from yoi_runtime.cli.signals import StopSignals
from yoi_runtime.client.cursor_store import FileCursorStore
from yoi_runtime.client.observe import observe
from yoi_runtime.client.settings import ClientSettings
from yoi_runtime.client.stream_state import StateDetail, StreamState
from yoi_runtime.errors import StreamConnectError, StreamError, StreamRefusedError

__all__ = ["TailRequest", "command_to_go_on", "tail"]

_FIRST_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class TailRequest:
    """What to follow, from where, and how to show it. ``given_data_dir``: as typed, None when it was not.

    ``cursor_file`` remembers the place; ``cursor`` goes before what it holds, and ``start`` is for when it holds nothing.
    ``token_file`` holds the token; the environment may, too.
    """

    url: str | None
    data_dir: Path
    given_data_dir: Path | None = None
    worker_id: str | None = None
    cursor: str | None = None
    cursor_file: Path | None = None
    start: StartName = "now"
    as_json: bool = False
    token_file: Path | None = None
    tls_ca: Path | None = None


def command_to_go_on(request: TailRequest, *, cursor: str | None = None, start: str | None = None) -> str:
    """Return the command line that follows the same events from another place."""
    words = [] if request.url is None else [request.url]
    if request.url is None and request.given_data_dir is not None:
        words += ["--data-dir", str(request.given_data_dir)]
    if request.worker_id is not None:
        words += ["--worker", request.worker_id]
    if cursor is not None:
        words += ["--cursor", cursor]
    # With a start it would come to nothing: what the file remembers goes before.
    if request.cursor_file is not None and start is None:
        words += ["--cursor-file", str(request.cursor_file)]
    if start is not None:
        words += ["--from", start]
    for option, path in (("--token-file", request.token_file), ("--tls-ca", request.tls_ca)):
        if path is not None:
            words += [option, str(path)]
    if request.as_json:
        words.append("--json")
    return f"{program()} tail {shlex.join(words)}".rstrip()


async def tail(request: TailRequest) -> int:
    """Follow until a signal, or until the cursor is refused; return the exit code.

    Raises:
        MissingExtraError: the extra ``ws-client`` is not installed.
        StreamError: there is no Runtime to follow, or it refuses for another reason than the cursor.
        SecretFileError: the token or the certificate cannot be read.
        CursorStoreError: the cursor file cannot be read or written, or belongs to another stream.
        BrokenPipeError: nobody reads our output any more.
    """
    with StopSignals() as signals:
        follower = _Follower(request, make_output(request.as_json))
        following = asyncio.create_task(follower.follow())
        signalled = asyncio.create_task(signals.wait())
        try:
            await asyncio.wait({following, signalled}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                await _cancel(following)
                follower.say_how_to_go_on()
                return signal_exit_code(signalled.result())
        finally:
            await _cancel(signalled)
        try:
            following.result()
        except StreamRefusedError as error:
            follower.say_what_was_refused(error)
            return exit_code_of(error)
        except StreamError as error:
            say(sentence_of(error))
            if follower.was_live:
                follower.say_how_to_go_on()
            return exit_code_of(error)
        return ExitCode.OK


class _ServerMovedError(Exception):
    """The Runtime of the directory serves at another address now."""


class _Follower:
    """Shows one stream, and knows behind which event it stands."""

    def __init__(self, request: TailRequest, output: EventOutput) -> None:
        self._request = request
        self._output = output
        self._cursor = request.cursor
        self._token = chosen_token(request.token_file)
        self._settings = ClientSettings(ssl_context=trusted_authority(request.tls_ca))
        self._store = FileCursorStore(request.cursor_file) if request.cursor_file is not None else None
        self._url = ""
        self.was_live = False
        self._waits = False

    async def follow(self) -> None:
        """Show events until the Worker has ended, which a Runtime's own stop does not do. Raises as ``tail`` says."""
        given = self._request.url
        while True:
            self._url = given if given is not None else find_server(self._request.data_dir)
            try:
                await self._follow_server()
            except _ServerMovedError:
                continue
            return

    async def _follow_server(self) -> None:
        stream = observe(
            self._url,
            worker_id=self._request.worker_id,
            cursor=self._cursor,
            cursor_store=self._store,
            start=self._request.start,
            wait_for_worker=True,
            on_state=self._on_state,
            token=self._token,
            settings=self._settings,
        )
        if not self.was_live:
            await _check_reachable(self._url)
        async with stream:
            try:
                async for event in stream:
                    self._output.show(event)
            finally:
                # Behind the last event that was shown; None as long as the Runtime has not told any place.
                self._cursor = stream.cursor or self._cursor
        if stream.outcome is not None:
            self._output.notice(f"the Worker has ended ({stream.outcome}); that is all of it")

    def say_how_to_go_on(self) -> None:
        if self._request.cursor_file is not None:
            self._output.notice(f"go on from here: {command_to_go_on(self._request)}")
        elif self._cursor is not None:
            self._output.notice(f"go on from here: {command_to_go_on(self._request, cursor=self._cursor)}")

    def say_what_was_refused(self, error: StreamRefusedError) -> None:
        """Say why the Runtime refused and which command helps."""
        self._output.notice(f"{error.code}: {error.diagnostic.get('message', '')}", "bold red")
        behind = error.diagnostic.get("resume_cursor")
        if isinstance(behind, str):
            self._output.notice(f"what comes behind: {command_to_go_on(self._request, cursor=behind)}")
        if exit_code_of(error) is not ExitCode.CURSOR_REFUSED:
            return
        lost = error.lost
        if lost is not None:
            amount = f"{lost.get('events')}" if lost.get("exact") else f"at most {lost.get('events')}"
            self._output.notice(f"lost: {amount} events, {lost.get('from_time')} to {lost.get('to_time')}")
        oldest = error.diagnostic.get("oldest_cursor")
        self._output.notice(f"all that is left: {command_to_go_on(self._request, start='oldest')}")
        if isinstance(oldest, str):
            self._output.notice(f"  which begins at: {command_to_go_on(self._request, cursor=oldest)}")
        self._output.notice(f"only what comes: {command_to_go_on(self._request, start='now')}")

    def _check_moved(self) -> None:
        """Look whether the Runtime came back on another port; only when it was us who looked up the first."""
        if self._request.url is None:
            info = read_server_file(self._request.data_dir)
            if info is not None and info.url != self._url and process_is_alive(info.pid):
                raise _ServerMovedError

    def _on_state(self, state: StreamState, detail: StateDetail) -> None:
        match state:
            case StreamState.WAITING:
                if not self._waits:
                    what = "connection lost" if self.was_live else "not there yet"
                    self._output.notice(f"{what} ({detail.reason}); trying again until it is back")
                self._waits = True
                self._check_moved()
            case StreamState.REPLAYING | StreamState.LIVE:
                if self._waits:
                    self._output.notice("connected again; goes on where it was" if self.was_live else "connected")
                self.was_live, self._waits = True, False
            case _:
                pass


async def _check_reachable(url: str) -> None:
    """Knock once: a mistyped address should be said, and not tried for ever.

    Raises:
        StreamConnectError: nobody listens there.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme in ("https", "wss") else 80)
    try:
        async with asyncio.timeout(_FIRST_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except OSError as error:
        # asyncio puts addresses into strerror, and has no errno when it tried several; a timeout has nothing.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror or "nobody answers"
        raise StreamConnectError(url, f"{reason}; is a Runtime serving there?") from error
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _cancel(task: asyncio.Task[object]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
