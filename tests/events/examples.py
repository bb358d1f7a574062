"""One full and one minimal example of every event, with its bytes, and records around them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID
from zlib import crc32

from yoi_runtime.events import (
    Alert,
    CompactDone,
    CompactFailed,
    CompactStart,
    CompletionEntry,
    Completions,
    ErrorEvent,
    Event,
    EventsLost,
    FileRefSegment,
    Greeting,
    InFlightSnapshot,
    InFlightText,
    InFlightThinking,
    InFlightToolCall,
    InvokeStart,
    KnowledgeRefSegment,
    LlmCallEnd,
    LlmCallStart,
    LlmContinuation,
    LlmRetry,
    LogRecovered,
    Lost,
    MemoryWorker,
    PasteSegment,
    PeerRegistered,
    RewindApplied,
    RewindSummary,
    RewindTarget,
    RewindTargetId,
    RewindTargets,
    RunEnd,
    RuntimeStarted,
    RuntimeStopping,
    SegmentRotated,
    Shutdown,
    Snapshot,
    Status,
    SystemItem,
    TextDelta,
    TextDone,
    TextSegment,
    ThinkingDelta,
    ThinkingDone,
    ThinkingStart,
    ToolCallArgsDelta,
    ToolCallDone,
    ToolCallStart,
    ToolResult,
    TurnEnd,
    TurnStart,
    Usage,
    UserMessage,
    WorkerCreated,
    WorkerEnded,
    WorkerRestored,
    WorkersListed,
    WorkerStarted,
    WorkflowInvokeSegment,
)

_ID = UUID("0192f0e8-4d84-7d6e-a000-000000000001")


@dataclass(frozen=True, eq=False)
class Example:
    """An event and the exact text of its payload. ``sparse`` is the least that decodes to it, when that is less."""

    event: Event
    json: str
    sparse: str | None = None

    @property
    def text_in(self) -> str:
        return self.json if self.sparse is None else self.sparse

    def __str__(self) -> str:
        return self.event.event_name


FULL: tuple[Example, ...] = (
    Example(
        UserMessage(
            segments=(
                TextSegment(content="see 世界 "),
                PasteSegment(id=7, chars=12, lines=2, content="line1\nline2"),
                FileRefSegment(path="src/main.rs"),
                KnowledgeRefSegment(slug="style"),
                WorkflowInvokeSegment(slug="review"),
            )
        ),
        '{"event":"user_message","data":{"segments":[{"kind":"text","content":"see 世界 "},'
        '{"kind":"paste","id":7,"chars":12,"lines":2,"content":"line1\\nline2"},'
        '{"kind":"file_ref","path":"src/main.rs"},{"kind":"knowledge_ref","slug":"style"},'
        '{"kind":"workflow_invoke","slug":"review"}]}}',
    ),
    Example(
        SystemItem(item={"kind": "notification", "n": [1, 2.5, True, None], "deep": {"a": {}}}),
        '{"event":"system_item","data":{"item":{"kind":"notification","n":[1,2.5,true,null],"deep":{"a":{}}}}}',
    ),
    Example(InvokeStart(kind="user_send"), '{"event":"invoke_start","data":{"kind":"user_send"}}'),
    Example(TurnStart(turn=3), '{"event":"turn_start","data":{"turn":3}}'),
    Example(TurnEnd(turn=3, result="finished"), '{"event":"turn_end","data":{"turn":3,"result":"finished"}}'),
    Example(LlmCallStart(llm_call=4), '{"event":"llm_call_start","data":{"llm_call":4}}'),
    Example(LlmCallEnd(llm_call=4), '{"event":"llm_call_end","data":{"llm_call":4}}'),
    Example(
        LlmRetry(
            llm_call=3,
            failed_attempt=1,
            max_attempts=4,
            wait_ms=800,
            elapsed_ms=120,
            status=504,
            error="gateway timeout",
        ),
        '{"event":"llm_retry","data":{"llm_call":3,"failed_attempt":1,"max_attempts":4,"wait_ms":800,'
        '"elapsed_ms":120,"status":504,"error":"gateway timeout"}}',
    ),
    Example(
        LlmContinuation(llm_call=4, attempt=1, max_attempts=3, reason="closed"),
        '{"event":"llm_continuation","data":{"llm_call":4,"attempt":1,"max_attempts":3,"reason":"closed"}}',
    ),
    Example(RunEnd(result="limit_reached"), '{"event":"run_end","data":{"result":"limit_reached"}}'),
    Example(
        ErrorEvent(code="already_running", message="busy"),
        '{"event":"error","data":{"code":"already_running","message":"busy"}}',
    ),
    Example(Status(status="running"), '{"event":"status","data":{"status":"running"}}'),
    Example(
        Alert(level="warn", source="compactor", message="no", timestamp_ms=1_700_000_000_000),
        '{"event":"alert","data":{"level":"warn","source":"compactor","message":"no","timestamp_ms":1700000000000}}',
    ),
    Example(Shutdown(), '{"event":"shutdown"}'),
    Example(TextDelta(text="hi"), '{"event":"text_delta","data":{"text":"hi"}}'),
    Example(TextDone(text='say "hi"\u2028'), '{"event":"text_done","data":{"text":"say \\"hi\\"\u2028"}}'),
    Example(ThinkingStart(), '{"event":"thinking_start"}'),
    Example(ThinkingDelta(text="step"), '{"event":"thinking_delta","data":{"text":"step"}}'),
    Example(ThinkingDone(text=""), '{"event":"thinking_done","data":{"text":""}}'),
    Example(ToolCallStart(id="c1", name="Read"), '{"event":"tool_call_start","data":{"id":"c1","name":"Read"}}'),
    Example(
        ToolCallArgsDelta(id="c1", json='{"path'),
        '{"event":"tool_call_args_delta","data":{"id":"c1","json":"{\\"path"}}',
    ),
    Example(
        ToolCallDone(id="c1", name="Read", arguments="{}"),
        '{"event":"tool_call_done","data":{"id":"c1","name":"Read","arguments":"{}"}}',
    ),
    Example(
        ToolResult(id="c1", summary="Read 5 bytes", output="hello", is_error=True),
        '{"event":"tool_result","data":{"id":"c1","summary":"Read 5 bytes","output":"hello","is_error":true}}',
    ),
    Example(
        Usage(input_tokens=10, output_tokens=20, cache_read_input_tokens=5),
        '{"event":"usage","data":{"input_tokens":10,"output_tokens":20,"cache_read_input_tokens":5}}',
    ),
    Example(
        Snapshot(
            entries=({"kind": "user_input", "ts": 1},),
            greeting=Greeting(
                worker_name="w",
                cwd="/work",
                provider="p",
                model="m",
                scope_summary="s",
                tools=("Read", "Write"),
                context_window=200_000,
                context_tokens=42_000,
            ),
            status="paused",
            in_flight=InFlightSnapshot(
                blocks=(
                    InFlightText(text="hel", finished=True),
                    InFlightThinking(text="why", finished=True),
                    InFlightToolCall(id="c1", name="Read", args='{"file', state="streaming_args"),
                )
            ),
        ),
        '{"event":"snapshot","data":{"entries":[{"kind":"user_input","ts":1}],"greeting":{"worker_name":"w",'
        '"cwd":"/work","provider":"p","model":"m","scope_summary":"s","tools":["Read","Write"],'
        '"context_window":200000,"context_tokens":42000},"status":"paused","in_flight":{"blocks":['
        '{"kind":"text","text":"hel","finished":true},{"kind":"thinking","text":"why","finished":true},'
        '{"kind":"tool_call","id":"c1","name":"Read","args":"{\\"file","state":"streaming_args"}]}}}',
    ),
    Example(
        SegmentRotated(entry={"kind": "segment_start", "history": []}),
        '{"event":"segment_rotated","data":{"entry":{"kind":"segment_start","history":[]}}}',
    ),
    Example(
        Completions(kind="workflow", entries=(CompletionEntry(value="src/", is_dir=True),)),
        '{"event":"completions","data":{"kind":"workflow","entries":[{"value":"src/","is_dir":true}]}}',
    ),
    Example(
        RewindTargets(
            head_entries=9,
            targets=(
                RewindTarget(
                    id=RewindTargetId(segment_id=_ID, user_input_entry_index=2),
                    expected_head_entries=9,
                    truncate_entries=7,
                    turn_index=1,
                    timestamp_ms=1_700_000_000_000,
                    preview="hello",
                    eligible=False,
                    disabled_reason="busy",
                    warning="files were written",
                ),
            ),
        ),
        '{"event":"rewind_targets","data":{"head_entries":9,"targets":[{"id":{"segment_id":'
        '"0192f0e8-4d84-7d6e-a000-000000000001","user_input_entry_index":2},"expected_head_entries":9,'
        '"truncate_entries":7,"turn_index":1,"timestamp_ms":1700000000000,"preview":"hello","eligible":false,'
        '"disabled_reason":"busy","warning":"files were written"}]}}',
    ),
    Example(
        RewindApplied(
            entries=({"kind": "segment_start"}, 1),
            input=(TextSegment(content="again"), PasteSegment(id=1, chars=1, lines=1, content="x")),
            summary=RewindSummary(truncated_to_entries=2, discarded_entries=7, tool_side_effect_warning=True),
        ),
        '{"event":"rewind_applied","data":{"entries":[{"kind":"segment_start"},1],"input":[{"kind":"text",'
        '"content":"again"},{"kind":"paste","id":1,"chars":1,"lines":1,"content":"x"}],"summary":{"truncated_to_entries":2,"discarded_entries":7,'
        '"tool_side_effect_warning":true}}}',
    ),
    Example(
        WorkersListed(workers=[{"worker_name": "child"}]),
        '{"event":"workers_listed","data":{"workers":[{"worker_name":"child"}]}}',
    ),
    Example(
        WorkerRestored(result={"action": "already_live"}),
        '{"event":"worker_restored","data":{"result":{"action":"already_live"}}}',
    ),
    Example(
        PeerRegistered(result={"source": "self", "peer": "other"}),
        '{"event":"peer_registered","data":{"result":{"source":"self","peer":"other"}}}',
    ),
    Example(
        MemoryWorker(
            worker="m", status="done", run_id="r1", trigger="idle", reason="r", message="kept 3", timestamp_ms=-1
        ),
        '{"event":"memory_worker","data":{"worker":"m","status":"done","run_id":"r1","trigger":"idle","reason":"r",'
        '"message":"kept 3","timestamp_ms":-1}}',
    ),
    Example(CompactStart(), '{"event":"compact_start"}'),
    Example(
        CompactDone(new_segment_id=_ID),
        '{"event":"compact_done","data":{"new_segment_id":"0192f0e8-4d84-7d6e-a000-000000000001"}}',
    ),
    Example(CompactFailed(error="429"), '{"event":"compact_failed","data":{"error":"429"}}'),
    Example(RuntimeStarted(version="0.1.0", pid=42), '{"event":"runtime_started","data":{"version":"0.1.0","pid":42}}'),
    Example(RuntimeStopping(reason="signal"), '{"event":"runtime_stopping","data":{"reason":"signal"}}'),
    Example(WorkerCreated(worker_id="coder-1"), '{"event":"worker_created","data":{"worker_id":"coder-1"}}'),
    Example(
        WorkerStarted(worker_id="coder-1", run=2, command=("python3", "-m", "agent"), pid=43),
        '{"event":"worker_started","data":{"worker_id":"coder-1","run":2,"command":["python3","-m","agent"],"pid":43}}',
    ),
    Example(
        WorkerEnded(worker_id="coder-1", outcome="failed", exit_code=3, restart_pending=True),
        '{"event":"worker_ended","data":'
        '{"worker_id":"coder-1","outcome":"failed","exit_code":3,"restart_pending":true}}',
    ),
    Example(
        LogRecovered(segment=7, kept_events=100, dropped_bytes=12, reason="torn tail"),
        '{"event":"log_recovered","data":{"segment":7,"kept_events":100,"dropped_bytes":12,"reason":"torn tail"}}',
    ),
    Example(
        EventsLost(count=3, from_time="2026-11-22T17:37:23.123456Z", to_time="2026-11-22T17:37:24.000000Z"),
        '{"event":"events_lost","data":{"count":3,"from_time":"2026-11-22T17:37:23.123456Z",'
        '"to_time":"2026-11-22T17:37:24.000000Z"}}',
    ),
    Example(Lost(), '{"event":"lost"}'),
)
"""Every member present, those in nested objects too."""

_GREETING = Greeting(worker_name="", cwd="", provider="", model="", scope_summary="", tools=())
_GREETING_SPARSE = '"worker_name":"","cwd":"","provider":"","model":"","scope_summary":"","tools":[]'

_LESS: tuple[Example, ...] = (
    Example(UserMessage(segments=()), '{"event":"user_message","data":{"segments":[]}}'),
    Example(SystemItem(item=None), '{"event":"system_item","data":{"item":null}}'),
    Example(
        LlmRetry(llm_call=0, failed_attempt=0, max_attempts=0, wait_ms=0, elapsed_ms=0, error=""),
        '{"event":"llm_retry","data":{"llm_call":0,"failed_attempt":0,"max_attempts":0,"wait_ms":0,"elapsed_ms":0,'
        '"error":""}}',
    ),
    Example(
        ToolResult(id="", summary=""),
        '{"event":"tool_result","data":{"id":"","summary":"","is_error":false}}',
        '{"event":"tool_result","data":{"id":"","summary":""}}',
    ),
    Example(
        Usage(), '{"event":"usage","data":{"input_tokens":null,"output_tokens":null}}', '{"event":"usage","data":{}}'
    ),
    Example(
        Snapshot(entries=(), greeting=_GREETING),
        '{"event":"snapshot","data":{"entries":[],"greeting":{' + _GREETING_SPARSE + ',"context_window":0,'
        '"context_tokens":0},"status":"idle"}}',
        '{"event":"snapshot","data":{"entries":[],"greeting":{' + _GREETING_SPARSE + "}}}",
    ),
    Example(
        Completions(kind="file", entries=(CompletionEntry(value=""),)),
        '{"event":"completions","data":{"kind":"file","entries":[{"value":"","is_dir":false}]}}',
        '{"event":"completions","data":{"kind":"file","entries":[{"value":""}]}}',
    ),
    Example(
        RewindTargets(
            head_entries=0,
            targets=(
                RewindTarget(
                    id=RewindTargetId(segment_id=_ID, user_input_entry_index=0),
                    expected_head_entries=0,
                    truncate_entries=0,
                    turn_index=0,
                    preview="",
                    eligible=True,
                ),
            ),
        ),
        '{"event":"rewind_targets","data":{"head_entries":0,"targets":[{"id":{"segment_id":'
        '"0192f0e8-4d84-7d6e-a000-000000000001","user_input_entry_index":0},"expected_head_entries":0,'
        '"truncate_entries":0,"turn_index":0,"timestamp_ms":null,"preview":"","eligible":true}]}}',
        '{"event":"rewind_targets","data":{"head_entries":0,"targets":[{"id":{"segment_id":'
        '"0192F0E84D847D6EA000000000000001","user_input_entry_index":0},"expected_head_entries":0,'
        '"truncate_entries":0,"turn_index":0,"preview":"","eligible":true}]}}',
    ),
    Example(RuntimeStopping(), '{"event":"runtime_stopping","data":{}}'),
    Example(WorkerStarted(worker_id="_", run=1), '{"event":"worker_started","data":{"worker_id":"_","run":1}}'),
    Example(
        WorkerEnded(worker_id="_", outcome="lost"),
        '{"event":"worker_ended","data":{"worker_id":"_","outcome":"lost"}}',
    ),
)

MINIMAL: tuple[Example, ...] = (
    *_LESS,
    *(row for row in FULL if type(row.event) not in {type(less.event) for less in _LESS}),
)
"""Nothing present that may be left out."""


def examples_of(classes: tuple[type[Event], ...]) -> list[Example]:
    """Return both examples of each class."""
    return [row for row in dict.fromkeys((*FULL, *MINIMAL)) if isinstance(row.event, classes)]


TOKEN = "wo1" + "A" * 60


def record(payload: bytes, *, worker_id: str | None = "a", worker_seq: int | None = 3, seq: int = 7) -> bytes:
    """Return a whole record as the log writes it, without its newline."""
    worker = b"null" if worker_id is None else b'"%s"' % worker_id.encode()
    number = b"null" if worker_seq is None else b"%d" % worker_seq
    covered = (
        b'{"kind":"event","envelope":{"cursor":"%s","event_id":"k3J9-_abcde-%x","seq":%d,"worker_id":%s,'
        b'"worker_seq":%s,"time":"2026-11-22T17:37:23.123456Z","payload":%s}'
        % (TOKEN.encode(), seq, seq, worker, number, payload)
    )
    return b'%s,"crc":"%08x"}' % (covered, crc32(covered))
