"""Reads ``/metrics`` as Prometheus does: with the library's parser."""

from __future__ import annotations

import asyncio

from prometheus_client.parser import text_string_to_metric_families

from tests.server.serving import http_get

__all__ = ["Scraped", "scrape"]


class Scraped:
    """One answer."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that have these labels; there must be one."""
        found = [one.value for one in self.samples if one.name == name and labels.items() <= one.labels.items()]
        assert found, f"no sample {name}{labels}"
        return sum(found)


async def scrape(url: str) -> Scraped:
    """Ask a server."""
    answer = await asyncio.to_thread(http_get, url, "/metrics")
    assert answer.status == 200, answer
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return Scraped(answer.body.decode())
