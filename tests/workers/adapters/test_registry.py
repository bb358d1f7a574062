"""Adapters by name; those of others are found as ``pip`` would have put them there, though nothing is installed."""

from __future__ import annotations

import importlib
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.codebase.tree import ROOT
from tests.conftest import ExpectLog
from tests.workers.adapters.mapping import BEGIN, NOW, alert, event, kept, line, payloads, told
from tests.workers.real_children import python, run
from tests.workers.recording_sink import RecordingSink
from yoi_runtime.errors import AdapterError
from yoi_runtime.workers.adapters import ADAPTER_NAMES, AutoAdapter, JsonlAdapter, LinesAdapter, make_adapter
from yoi_runtime.workers.adapters.acp import AcpAdapter
from yoi_runtime.workers.adapters.claude_code import ClaudeCodeAdapter
from yoi_runtime.workers.adapters.codex import CodexAdapter
from yoi_runtime.workers.adapters.gemini import GeminiAdapter
from yoi_runtime.workers.adapters.opencode import OpencodeAdapter
from yoi_runtime.workers.adapters.registry import ADAPTER_GROUP, foreign_adapter_names
from yoi_runtime.workers.child_worker import ChildWorker

EXAMPLE = ROOT / "docs" / "examples" / "adapter"


class Site:
    """A directory of installed distributions."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def install(self, distribution: str, entry_points: dict[str, str]) -> None:
        info = self.path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        rows = "".join(f"{name} = {target}\n" for name, target in entry_points.items())
        (info / "entry_points.txt").write_text(f"[{ADAPTER_GROUP}]\n{rows}")

    def module(self, name: str, code: str) -> None:
        (self.path / f"{name}.py").write_text(code)
        importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield Site(tmp_path)
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def example(site: Site) -> Site:
    shutil.copy(EXAMPLE / "counting_adapter.py", site.path)
    importlib.invalidate_caches()
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    site.install(project["name"], project["entry-points"][ADAPTER_GROUP])
    return site


def test_every_name_has_its_adapter():
    assert {name: type(make_adapter(name)) for name in ADAPTER_NAMES} == {
        "auto": AutoAdapter,
        "lines": LinesAdapter,
        "jsonl": JsonlAdapter,
        "claude-code": ClaudeCodeAdapter,
        "codex": CodexAdapter,
        "gemini": GeminiAdapter,
        "opencode": OpencodeAdapter,
        "acp": AcpAdapter,
    }
    assert make_adapter("codex") is not make_adapter("codex")


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are(example: Site):
    with pytest.raises(AdapterError) as raised:
        make_adapter("xml")
    assert raised.value.name == "xml"
    assert raised.value.distribution is None
    assert str(raised.value) == f"adapter 'xml' is none of {', '.join([*ADAPTER_NAMES, 'counting'])}"


def test_the_example_makes_events(example: Site):
    counting = make_adapter("counting", lambda: NOW)
    assert told(
        counting, {"step": 1, "say": "hello"}, {"step": 2, "say": "bye"}, {"odd": 1}, "plain", {"finished": True}
    ) == [
        *BEGIN,
        event("text_done", text="hello"),
        event("text_done", text="bye"),
        kept("counting.novel", {"odd": 1}),
        event("text_done", text="plain"),
        event("turn_end", turn=1, result="finished"),
        event("run_end", result="finished"),
    ]
    assert payloads(counting.stderr_line(line("careful"))) == [alert("warn", "careful")]
    assert counting.stdout_end() == []
    assert foreign_adapter_names() == ["counting"]


def test_a_real_child_is_followed_with_it(example: Site):
    sink = RecordingSink()
    code = """print('{"step":1,"say":"one"}'); print('{"finished":true}')"""

    async def follow() -> None:
        await ChildWorker("w", python(code), make_adapter("counting"), sink).run()

    run(follow)
    assert [item["event"] for item in payloads(sink.events)] == [
        "status",
        "invoke_start",
        "turn_start",
        "text_done",
        "turn_end",
        "run_end",
        "status",
    ]


def test_nothing_of_others_is_loaded_before_its_name_is_given(site: Site):
    site.module("loud_adapter", "raise RuntimeError('loaded')")
    site.install("loud", {"loud": "loud_adapter:Loud"})
    assert foreign_adapter_names() == ["loud"]
    make_adapter("auto")
    assert "loud_adapter" not in sys.modules


def test_a_name_of_ours_is_not_taken(site: Site):
    site.module("thief_adapter", "raise RuntimeError('loaded')")
    site.install("thief", {"codex": "thief_adapter:Thief", "auto": "thief_adapter:Thief"})
    assert isinstance(make_adapter("codex"), CodexAdapter)
    assert foreign_adapter_names() == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('no luck')", "cannot be loaded: RuntimeError: no luck"),
        ("x = 1", "cannot be loaded: AttributeError"),
        ("Broken = 7", "cannot be loaded: TypeError"),
        ("def Broken(now_ms): raise KeyError('k')", "cannot be loaded: KeyError: 'k'"),
        (
            "class Broken:\n    def __init__(self, now_ms): ...\n    def stdout_line(self, line): ...",
            "is no adapter: it has no stderr_line, stdout_end",
        ),
    ],
)
def test_a_broken_one_names_its_distribution(site: Site, code: str, reason: str):
    site.module("broken_adapter", code)
    site.install("broken-adapter", {"broken": "broken_adapter:Broken"})
    with pytest.raises(AdapterError) as raised:
        make_adapter("broken")
    assert raised.value.distribution == "broken-adapter"
    assert raised.value.reason.startswith(reason)
    assert str(raised.value).startswith(f"adapter 'broken' of the distribution 'broken-adapter' {reason}")


def test_a_name_that_two_distributions_bring_is_refused(example: Site):
    example.install("another", {"counting": "counting_adapter:CountingAdapter"})
    with pytest.raises(AdapterError, match=r"several distributions: another, counting-adapter"):
        make_adapter("counting")


RAISING = """
from yoi_runtime.events import RuntimeStopping

class Raising:
    def __init__(self, now_ms): ...
    def stdout_line(self, line): raise ValueError("/home/me/secret")
    def stderr_line(self, line): return 7
    def stdout_end(self): return [RuntimeStopping(reason="mine")]

class Wrong(Raising):
    def stdout_line(self, line): return [{"event": "text_done"}]
"""


def test_one_that_raises_costs_a_line_its_meaning_and_no_more(site: Site, expect_log: ExpectLog):
    site.module("raising_adapter", RAISING)
    site.install("raising", {"raising": "raising_adapter:Raising", "wrong": "raising_adapter:Wrong"})
    # What it said stands in our own log alone, once in a run.
    expect_log("yoi_runtime.workers", "the adapter raising failed at stdout line 3")
    raising = make_adapter("raising", lambda: NOW)
    assert payloads(raising.stdout_line(line("hello", 3))) == [
        event("text_done", text="hello"),
        alert("error", "stdout line 3: the adapter raising failed: ValueError"),
    ]
    assert payloads(raising.stderr_line(line("oh", 4))) == [
        alert("warn", "oh"),
        alert("error", "stderr line 4: the adapter raising failed: TypeError"),
    ]
    # An event of the Runtime's is not somebody else's to say.
    assert payloads(raising.stdout_end()) == [
        alert("error", "the end of stdout: the adapter raising failed: ValueError")
    ]
    expect_log("yoi_runtime.workers", "the adapter wrong failed at stdout line 5")
    assert payloads(make_adapter("wrong", lambda: NOW).stdout_line(line("hello", 5)))[1:] == [
        alert("error", "stdout line 5: the adapter wrong failed: TypeError")
    ]
