"""The whole kit, with clients as processes: the examples in docs/examples among them."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.codebase.tree import ROOT
from tests.conformance.playing import FAST, outcomes
from yoi_runtime.conformance import Case, CaseResult, Outcome, load_cases
from yoi_runtime.conformance.kit import KitOptions, run_with_command, run_with_visitors
from yoi_runtime.conformance.report import Report
from yoi_runtime.conformance.timing import Timing
from yoi_runtime.protocol.versions import ProtocolVersion

CASES = load_cases()
BY_NAME = {case.name: case for case in CASES}
EXAMPLE = ROOT / "docs" / "examples" / "backend.py"
GO_EXAMPLE = EXAMPLE.parent / "go"
# A foreign client's backoff is not ours to set.
PROCESS = Timing(patience_seconds=30.0, scale=0.25)


def explained(report: Report) -> str:
    return "\n".join(result.explain() for result in report.results if result.findings)


async def run(command: Sequence[str], mode: str, cases: Sequence[Case] = CASES, **options: object) -> Report:
    results: list[CaseResult] = []
    kit = KitOptions(mode=ProtocolVersion(mode), timing=PROCESS, jobs=6, **options)  # type: ignore[arg-type]
    report = await run_with_command(cases, command, kit, results.append)
    assert {result.name for result in results} == {case.name for case in cases if mode in case.modes}
    return report


@pytest.mark.parametrize("mode", ["v0", "v1"])
async def test_the_example_in_the_manual_passes_every_case(mode: str, played):
    report = await run([sys.executable, str(EXAMPLE), "{url}", "{worker}", "{mode}", "{state}"], mode)
    assert not outcomes(report), explained(report)
    assert report.conforms(strict=True)
    assert report.counts["skipped"] == 0
    played(f"docs/examples/backend.py, {mode}", report.counts)


async def test_the_example_in_go_passes_every_case(tmp_path: Path, played):
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain here")
    source = tmp_path / "source"
    shutil.copytree(GO_EXAMPLE, source)
    # Off: a test downloads nothing. Whoever has built the example once has the module.
    environment = {**os.environ, "GOPROXY": "off", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    building = await asyncio.create_subprocess_exec(
        go, "build", "-o", str(tmp_path / "backend"), ".", cwd=source, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await building.communicate()
    if b"module lookup disabled" in said or b"requires go" in said:
        pytest.skip(f"the example cannot be built here: {said.decode().strip()[-200:]}")
    assert building.returncode == 0, said.decode()
    report = await run([str(tmp_path / "backend"), "{url}", "{worker}", "{state}"], "v1")
    assert not outcomes(report), explained(report)
    assert report.counts["skipped"] == 0
    played("docs/examples/go, v1", report.counts)


async def test_storing_before_handing_over_is_caught_by_its_case(tmp_path: Path):
    right = "            print(event_id, flush=True)  # your work goes here; the cursor is stored after it\n"
    wrong = '            self.store(envelope["cursor"])\n' + right
    source = EXAMPLE.read_text("utf-8")
    assert right in source
    client = tmp_path / "hasty.py"
    client.write_text(source.replace(right, wrong), "utf-8")
    cases = [BY_NAME["stores_after_handing_over"], BY_NAME["torn_frame"]]
    report = await run([sys.executable, str(client), "{url}", "{worker}", "{mode}", "{state}"], "v1", cases)
    assert outcomes(report) == {"stores_after_handing_over": "failed"}, explained(report)


async def test_what_a_failing_client_says_on_stderr_is_part_of_the_story():
    command = [sys.executable, "-c", "import sys; sys.exit('no such option')"]
    report = await run(command, "v1", [BY_NAME["torn_frame"]])
    assert report.cases[0].outcome is Outcome.FAILED
    assert "ended with exit code 1" in explained(report)
    assert "client's stderr: no such option" in explained(report)


async def test_a_command_that_cannot_be_run_is_one_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        await run([str(tmp_path / "none")], "v1")


async def test_visitors_find_each_case_at_a_path_of_its_own_and_report_in_files(tmp_path: Path):
    names = ["torn_frame", "unknown_fields", "stores_after_handing_over"]
    urls: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    running: list[asyncio.subprocess.Process] = []
    options = KitOptions(mode=ProtocolVersion.V1, timing=FAST)
    playing = asyncio.create_task(
        run_with_visitors(
            [BY_NAME[name] for name in names],
            options,
            lambda case, url: urls.put_nowait((case.name, url)),
            lambda result: None,
            str(tmp_path / "{case}.txt"),
        )
    )
    try:
        for _ in range(2):
            name, url = await asyncio.wait_for(urls.get(), 10)
            assert url.endswith(f"/{name}")
            (tmp_path / name).mkdir()
            with (tmp_path / f"{name}.txt").open("wb") as report_file:
                command = [sys.executable, str(EXAMPLE), url, "w", "v1", str(tmp_path / name)]
                running.append(await asyncio.create_subprocess_exec(*command, stdout=report_file))
        report = await asyncio.wait_for(playing, 30)
    finally:
        playing.cancel()
        for process in running:
            if process.returncode is None:
                process.kill()
            await process.wait()
    assert not outcomes(report), explained(report)
    assert [result.outcome.value for result in report.cases] == ["passed", "passed", "skipped"]
