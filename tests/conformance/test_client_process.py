from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.deadline import wait_until_async
from yoi_runtime.conformance.client_process import ClientProcess, filled_in
from yoi_runtime.conformance.deliveries import Deliveries


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def test_placeholders_are_replaced_and_other_braces_stay():
    command = ["run", "{url}/x", "--json={a: {worker}}", "{unknown}"]
    assert filled_in(command, {"url": "U", "worker": "{url}"}) == ["run", "U/x", "--json={a: {url}}", "{unknown}"]


async def test_what_it_prints_is_its_report_and_its_end_is_told_after_it(tmp_path: Path):
    deliveries = Deliveries(reported=True)
    code = "import os, sys; print('a-1\\n! ' + os.environ['WORD']); sys.stderr.write('went\\nwrong'); sys.exit(7)"
    client = ClientProcess(python(code), tmp_path, deliveries, {"WORD": "gap"})
    await client.start()
    try:
        await wait_until_async(lambda: deliveries.is_gone)
    finally:
        await client.stop()
    assert (deliveries.event_ids, deliveries.told, deliveries.exit_code) == (["a-1"], ["gap"], 7)
    assert client.last_words() == ["went", "wrong"]


async def test_one_that_does_not_listen_is_killed_with_its_children(tmp_path: Path):
    deliveries = Deliveries(reported=True)
    code = "import os, signal; signal.signal(15, signal.SIG_IGN); os.fork(); print(os.getpid(), flush=True); signal.pause()"
    client = ClientProcess(python(code), tmp_path, deliveries, {})
    await client.start()
    await wait_until_async(lambda: len(deliveries.event_ids) == 2)
    await client.stop()
    await client.stop()
    await wait_until_async(lambda: not any(_runs(int(pid)) for pid in deliveries.event_ids))
    # That the kit ended it is not the client's doing.
    assert deliveries.exit_code is None


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="the size of a pipe can be set on Linux alone")
async def test_a_stalled_one_is_killed_when_it_is_stuck_and_what_it_handed_over_is_read(tmp_path: Path, played):
    deliveries = Deliveries(reported=True)
    # Hands over numbers and keeps in a file how far it was before each: what blocks was not handed over.
    code = """
import os, sys
n = int(open(sys.argv[1]).read()) if os.path.exists(sys.argv[1]) else 0
while n < 2000:
    open(sys.argv[1], "w").write(str(n))
    n += 1
    os.write(1, b"number-%d\\n" % n)
"""
    client = ClientProcess([*python(code), str(tmp_path / "n")], tmp_path, deliveries, {})
    await client.start()
    try:
        await client.stall()
        await client.kill_and_restart()
        first = len(deliveries.event_ids)
        await wait_until_async(lambda: deliveries.is_gone)
    finally:
        await client.stop()
    assert 0 < first < 2000
    assert deliveries.event_ids == [f"number-{n}" for n in range(1, 2001)]
    played("a stalled client", {"lines before it was stuck": first})


async def test_a_program_that_is_not_there_is_an_error(tmp_path: Path):
    before = _open_files()
    client = ClientProcess([str(tmp_path / "none")], tmp_path, Deliveries(reported=True), {})
    with pytest.raises(FileNotFoundError):
        await client.start()
    await client.stop()
    assert _open_files() == before
