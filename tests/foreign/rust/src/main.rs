//! Follows a Worker's stream in v0 with upstream's types, drops the connection again and again, and resumes.
//!
//! Takes one argument, the task as JSON (tests/foreign/foreign_clients.py), and prints one line of JSON for each event.
//! Fails on a frame that does not decode, and on an event that does not encode to what was received.

mod upstream;

use std::time::Duration;

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{json, Value};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use upstream::{Envelope, Event, Frame};

#[derive(Deserialize)]
struct Task {
    url: String,
    events: usize,
    drop_after: usize,
}

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let task: Task = serde_json::from_str(&std::env::args().nth(1).ok_or("one argument: the task")?)?;
    let mut cursor: Option<String> = None;
    let mut received = 0;
    while received < task.events {
        let most = task.drop_after.min(task.events - received);
        received += follow(&task.url, &mut cursor, most).await?;
    }
    refused(&task.url).await
}

/// Ask for a place that there cannot be, and print the code of the answer. To upstream a code is any text.
async fn refused(url: &str) -> Result<(), Failure> {
    let (mut stream, _) = connect_async(format!("{url}?cursor=nonsense")).await?;
    let text = next_text(&mut stream).await?;
    match serde_json::from_str(&text)? {
        Frame::Diagnostic { diagnostic } if !diagnostic.message.is_empty() => {
            println!("{}", json!({"diagnostic": diagnostic.code}));
            Ok(())
        }
        other => Err(format!("not an answer to a cursor: {other:?}").into()),
    }
}

/// Connect where `cursor` says, take `most` events, and drop the connection without a word.
async fn follow(url: &str, cursor: &mut Option<String>, most: usize) -> Result<usize, Failure> {
    let start = match cursor {
        Some(token) => format!("cursor={token}"),
        None => "from=oldest".to_string(),
    };
    let (mut stream, _) = connect_async(format!("{url}?{start}")).await?;
    let first = next(&mut stream).await?;
    let opening = (first.envelope.event_id == format!("snapshot:{}", first.envelope.cursor))
        && matches!(first.envelope.payload, Event::Snapshot { .. })
        && cursor.as_ref().map_or(true, |token| *token == first.envelope.cursor);
    if !opening {
        return Err(format!("not the frame that begins a stream: {:?}", first.envelope).into());
    }
    for _ in 0..most {
        let received = next(&mut stream).await?;
        let envelope = received.envelope;
        let name = received.payload["event"].clone();
        println!(
            "{}",
            json!({"event_id": envelope.event_id, "cursor": envelope.cursor, "worker_id": envelope.worker_id,
                              "seq": received.seq, "event": name})
        );
        *cursor = Some(envelope.cursor);
    }
    Ok(most)
}

struct Received {
    envelope: Envelope,
    payload: Value,
    seq: Value,
}

async fn next<S>(stream: &mut S) -> Result<Received, Failure>
where
    S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    decode(&next_text(stream).await?)
}

async fn next_text<S>(stream: &mut S) -> Result<String, Failure>
where
    S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    loop {
        let message = tokio::time::timeout(Duration::from_secs(20), stream.next()).await?;
        match message.ok_or("the stream ended")?? {
            Message::Text(text) => return Ok(text.as_str().to_string()),
            // The library answers pings while it is read.
            Message::Ping(_) | Message::Pong(_) => continue,
            other => return Err(format!("not a text frame: {other:?}").into()),
        }
    }
}

fn decode(text: &str) -> Result<Received, Failure> {
    let plain: Value = serde_json::from_str(text)?;
    match serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))? {
        Frame::Event { envelope } => {
            let mut payload = plain["envelope"]["payload"].clone();
            // A key of ours that upstream passes over (docs/protocol.md).
            payload.as_object_mut().ok_or("a payload is an object")?.remove("key");
            if serde_json::to_value(&envelope.payload)? != payload {
                return Err(format!("upstream would write {:?} otherwise: {payload}", envelope.payload).into());
            }
            Ok(Received { envelope, payload, seq: plain["envelope"]["seq"].clone() })
        }
        Frame::Diagnostic { diagnostic } => Err(format!("{}: {}", diagnostic.code, diagnostic.message).into()),
    }
}
