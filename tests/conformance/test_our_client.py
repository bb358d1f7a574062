"""Our client and the conformance kit: every case, in both versions."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from yoi_runtime.conformance import CaseResult, load_cases
from yoi_runtime.conformance.kit import KitOptions, run_with_command
from yoi_runtime.conformance.timing import Timing
from yoi_runtime.protocol.versions import ProtocolVersion

CLIENT = Path(__file__).with_name("our_client.py")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("worker", ["{worker}", ""], ids=["one Worker", "everything"])
@pytest.mark.parametrize("mode", list(ProtocolVersion))
async def test_our_client_passes_every_case(mode: ProtocolVersion, worker: str, played):
    results: list[CaseResult] = []
    kit = KitOptions(mode=mode, timing=Timing(patience_seconds=60.0, scale=0.25), jobs=6)
    command = [sys.executable, str(CLIENT), "{url}", worker, "{mode}", "{state}"]
    report = await run_with_command(load_cases(), command, kit, results.append)
    said = "\n".join(result.explain() for result in report.results if result.findings)
    assert report.conforms(strict=True), said
    # Skipped are the cases that take a client of one Worker.
    skipped = {result.name for result in report.results if result.skipped}
    assert skipped == {
        case.name for case in load_cases() if not worker and "worker" in case.needs and mode in case.modes
    }
    assert report.counts["passed"] >= 30
    played(f"our client, {mode.value}, {worker or 'everything'}", report.counts)
