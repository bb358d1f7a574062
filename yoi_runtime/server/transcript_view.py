"""Tornado adapter: ``/v1/workers/{worker_id}/transcript``. Specification: docs/transcript.md.

Where they come from: ``transcript_source``.
"""

from __future__ import annotations

import asyncio

from yoi_runtime.errors import (
    LogUnavailableError,
    RequestInvalidError,
    TranscriptExpiredError,
    TranscriptUnavailableError,
)
from yoi_runtime.protocol.diagnostics import DiagnosticCode, diagnostic
from yoi_runtime.protocol.transcript_query import TranscriptQuery, parse_transcript_query
from yoi_runtime.server.diagnose import diagnose_request, worker_not_found
from yoi_runtime.server.request_base import DiagnosticAnswerError, GuardedRequest, Shows

__all__ = ["TranscriptView"]


class TranscriptView(GuardedRequest):
    """A page of a Worker's transcript, with a tag by which a poller learns for nothing that there is no news."""

    shows = Shows.WORKER
    _etag = ""

    def set_default_headers(self) -> None:
        super().set_default_headers()
        # A poller may keep the answer, but has to ask whether it is still the one.
        self.set_header("Cache-Control", "private, no-cache")

    async def get(self, worker_id: str) -> None:
        view = self.state.view
        try:
            view.check_available()
        except LogUnavailableError as error:
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.UNAVAILABLE, error.reason)) from error
        if view.worker(self.checked_worker_id(worker_id)) is None:
            raise DiagnosticAnswerError(worker_not_found(worker_id))
        query = self._query()
        if self.state.transcripts is None:
            raise DiagnosticAnswerError(
                diagnostic(DiagnosticCode.INVALID_REQUEST, "this server answers no transcripts"), 404
            )
        try:
            # In a thread: a page of large items takes milliseconds, and the disk may take longer.
            page = await asyncio.to_thread(self.state.transcripts.page, view.log_id, worker_id, query, self._is_known)
        except TranscriptUnavailableError as error:
            message = "the transcripts cannot be read at present"
            raise DiagnosticAnswerError(diagnostic(DiagnosticCode.UNAVAILABLE, message)) from error
        except TranscriptExpiredError as error:
            raise DiagnosticAnswerError(
                diagnostic(
                    DiagnosticCode.ITEMS_EXPIRED,
                    f"items {error.start} to {error.oldest_start - 1} are no longer kept;"
                    " ask without start, or from oldest_start on",
                    worker_id=worker_id,
                    oldest_start=error.oldest_start,
                )
            ) from error
        self._etag = page.etag
        self.set_header("ETag", page.etag)
        if page.body is None:
            self.set_status(304)
        await self.finish(page.body)

    async def head(self, worker_id: str) -> None:
        await self.get(worker_id)

    def compute_etag(self) -> str:
        return self._etag

    def _query(self) -> TranscriptQuery:
        pairs = [
            (name, value.decode("utf-8", "replace"))
            for name, values in self.request.query_arguments.items()
            for value in values
        ]
        try:
            return parse_transcript_query(pairs)
        except RequestInvalidError as error:
            raise DiagnosticAnswerError(diagnose_request(error)) from error

    def _is_known(self, etag: str) -> bool:
        """Say whether the peer has the answer of this tag already (RFC 9110, 13.1.2)."""
        given = [tag.strip().removeprefix("W/") for tag in self.request.headers.get("If-None-Match", "").split(",")]
        return etag in given or "*" in given
