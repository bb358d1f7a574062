"""Tornado adapter: ``/metrics``, for Prometheus. Behind the same guard as everything else."""

from __future__ import annotations

from prometheus_client import generate_latest

from yoi_runtime.server.metrics import ServerMetrics
from yoi_runtime.server.request_base import GuardedRequest, ServerState
from yoi_runtime.server.sibling_metrics import SiblingMetrics

__all__ = ["MetricsView"]

# The text format that every Prometheus reads; the library's own constant has meant different ones.
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsView(GuardedRequest):
    """``/metrics``: of this process, or with several on one address of all."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    def initialize(self, state: ServerState, metrics: ServerMetrics, siblings: SiblingMetrics | None) -> None:  # type: ignore[override]
        super().initialize(state)
        self._metrics = metrics
        self._siblings = siblings

    async def get(self) -> None:
        self.set_header("Content-Type", _CONTENT_TYPE)
        if self._siblings is not None:
            self.finish(await self._siblings.exposition())
        else:
            self.finish(generate_latest(await self._metrics.registry()))

    async def head(self) -> None:
        await self.get()
