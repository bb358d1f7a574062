//! The types of upstream's v0 client: frames tagged by `kind`, events adjacently tagged, a closed vocabulary.
//!
//! Fields that a type does not name are passed over; a kind or an event that an enum does not name fails.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(pub String);

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Frame {
    Event { envelope: Envelope },
    Diagnostic { diagnostic: Diagnostic },
}

#[derive(Debug, Deserialize)]
pub struct Envelope {
    pub cursor: String,
    pub event_id: String,
    pub worker_id: WorkerId,
    pub payload: Event,
}

/// `code` is any text: the client has never known the whole list.
#[derive(Debug, Deserialize)]
pub struct Diagnostic {
    pub code: String,
    pub message: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub enum Event {
    UserMessage {
        segments: Vec<Segment>,
    },
    SystemItem {
        item: Value,
    },
    InvokeStart {
        kind: InvokeKind,
    },
    TurnStart {
        turn: usize,
    },
    TurnEnd {
        turn: usize,
        result: TurnResult,
    },
    LlmCallStart {
        llm_call: usize,
    },
    LlmCallEnd {
        llm_call: usize,
    },
    LlmRetry {
        llm_call: usize,
        failed_attempt: u32,
        max_attempts: u32,
        wait_ms: u64,
        elapsed_ms: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        error: String,
    },
    LlmContinuation {
        llm_call: usize,
        attempt: u32,
        max_attempts: u32,
        reason: String,
    },
    TextDelta {
        text: String,
    },
    TextDone {
        text: String,
    },
    ThinkingStart,
    ThinkingDelta {
        text: String,
    },
    ThinkingDone {
        text: String,
    },
    ToolCallStart {
        id: String,
        name: String,
    },
    ToolCallArgsDelta {
        id: String,
        json: String,
    },
    ToolCallDone {
        id: String,
        name: String,
        arguments: String,
    },
    ToolResult {
        id: String,
        summary: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<String>,
        #[serde(default)]
        is_error: bool,
    },
    Usage {
        input_tokens: Option<u64>,
        output_tokens: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_read_input_tokens: Option<u64>,
    },
    RunEnd {
        result: RunResult,
    },
    Error {
        code: ErrorCode,
        message: String,
    },
    Snapshot {
        entries: Vec<Value>,
        greeting: Greeting,
        #[serde(default)]
        status: WorkerStatus,
        #[serde(default, skip_serializing_if = "InFlight::is_empty")]
        in_flight: InFlight,
    },
    SegmentRotated {
        entry: Value,
    },
    Status {
        status: WorkerStatus,
    },
    Completions {
        kind: CompletionKind,
        entries: Vec<CompletionEntry>,
    },
    RewindTargets {
        head_entries: usize,
        targets: Vec<RewindTarget>,
    },
    RewindApplied {
        entries: Vec<Value>,
        input: Vec<Segment>,
        summary: RewindSummary,
    },
    WorkersListed {
        workers: Value,
    },
    WorkerRestored {
        result: Value,
    },
    PeerRegistered {
        result: Value,
    },
    Alert {
        level: AlertLevel,
        source: AlertSource,
        message: String,
        timestamp_ms: i64,
    },
    MemoryWorker {
        worker: String,
        status: String,
        run_id: String,
        trigger: String,
        reason: String,
        message: String,
        timestamp_ms: i64,
    },
    CompactStart,
    CompactDone {
        new_segment_id: Uuid,
    },
    CompactFailed {
        error: String,
    },
    Shutdown,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Segment {
    Text { content: String },
    Paste { id: u32, chars: u32, lines: u32, content: String },
    FileRef { path: String },
    KnowledgeRef { slug: String },
    WorkflowInvoke { slug: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvokeKind {
    UserSend,
    Notify,
    WorkerEvent,
    SystemReminder,
    Wakeup,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnResult {
    Finished,
    Paused,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    Finished,
    Paused,
    LimitReached,
    RolledBack,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    AlreadyRunning,
    NotRunning,
    NotPaused,
    ProviderError,
    ToolError,
    InvalidRequest,
    Internal,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerStatus {
    #[default]
    Idle,
    Running,
    Paused,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertLevel {
    Warn,
    Error,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertSource {
    Worker,
    Engine,
    Compactor,
    AgentsMd,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompletionKind {
    File,
    Knowledge,
    Workflow,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct CompletionEntry {
    pub value: String,
    #[serde(default)]
    pub is_dir: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Greeting {
    pub worker_name: String,
    pub cwd: String,
    pub provider: String,
    pub model: String,
    pub scope_summary: String,
    pub tools: Vec<String>,
    #[serde(default)]
    pub context_window: u64,
    #[serde(default)]
    pub context_tokens: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct InFlight {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<InFlightBlock>,
}

impl InFlight {
    fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InFlightBlock {
    Text {
        text: String,
        #[serde(default, skip_serializing_if = "is_false")]
        finished: bool,
    },
    Thinking {
        text: String,
        #[serde(default, skip_serializing_if = "is_false")]
        finished: bool,
    },
    ToolCall {
        id: String,
        name: String,
        args: String,
        #[serde(default, skip_serializing_if = "ToolCallState::is_pending")]
        state: ToolCallState,
    },
}

fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolCallState {
    #[default]
    Pending,
    StreamingArgs,
    Done,
}

impl ToolCallState {
    fn is_pending(&self) -> bool {
        matches!(self, ToolCallState::Pending)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct RewindTargetId {
    pub segment_id: Uuid,
    pub user_input_entry_index: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct RewindTarget {
    pub id: RewindTargetId,
    pub expected_head_entries: usize,
    pub truncate_entries: usize,
    pub turn_index: usize,
    pub timestamp_ms: Option<u64>,
    pub preview: String,
    pub eligible: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct RewindSummary {
    pub truncated_to_entries: usize,
    pub discarded_entries: usize,
    pub tool_side_effect_warning: bool,
}
