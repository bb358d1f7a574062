// Follows a stream with a WebSocket of Node's own or of npm's `ws`, drops the connection again and again, and resumes.
//
//   node [--experimental-websocket] node_client.mjs [--modules=DIRECTORY] TASK
//
// TASK is JSON, see tests/foreign/foreign_clients.py. `ws` is taken from DIRECTORY/node_modules. Prints one
// line of JSON for each event. JSON.parse is good enough here: no integer of the envelope goes beyond 2^53.
import { createRequire } from "node:module";
import { join } from "node:path";

const task = JSON.parse(process.argv.at(-1));
const modules = process.argv.find((argument) => argument.startsWith("--modules="))?.slice("--modules=".length);
const WebSocketClass = modules ? createRequire(join(modules, "here.js"))("ws") : globalThis.WebSocket;
const v1 = task.version === "v1";

/** Follow from `start`; `take(frame)` is asked about every frame and answers true when it has had enough. */
function follow(start, take) {
  return new Promise((resolve, reject) => {
    const query = start + (task.batch ? "&batch=1" : "");
    const socket = new WebSocketClass(`${task.url}?${query}`, v1 ? ["yoi.events.v1"] : []);
    const late = setTimeout(() => reject(new Error("nothing came for 20 s")), 20_000);
    let settled = false;
    const settle = (outcome, value) => {
      if (settled) return;
      settled = true;
      clearTimeout(late);
      socket.close();
      outcome(value);
    };
    socket.addEventListener("message", ({ data }) => {
      if (settled) return;
      try {
        if (typeof data !== "string") throw new Error("not a text message");
        const message = JSON.parse(data);
        for (const frame of message.kind === "batch" ? message.frames : [message]) {
          if (take(frame)) return settle(resolve);
        }
      } catch (error) {
        settle(reject, error);
      }
    });
    socket.addEventListener("close", ({ code }) => settle(reject, new Error(`closed with ${code}`)));
    socket.addEventListener("error", (event) => settle(reject, new Error(`failed: ${event.message ?? event.error}`)));
  });
}

let cursor = null;
let received = 0;
while (received < task.events) {
  let taken = 0;
  let first = true;
  const from = cursor;
  await follow(cursor === null ? "from=oldest" : `cursor=${cursor}`, (frame) => {
    if (first) {
      first = false;
      checkOpening(frame, from);
      return false;
    }
    if (frame.kind === "diagnostic") throw new Error(JSON.stringify(frame));
    if (frame.kind !== "event") return false;
    const { event_id, seq, worker_id, payload } = frame.envelope;
    cursor = frame.envelope.cursor;
    console.log(JSON.stringify({ event_id, cursor, worker_id, seq, event: payload.event }));
    received += 1;
    taken += 1;
    return taken === task.drop_after || received === task.events;
  });
}
await follow("cursor=nonsense", (frame) => {
  console.log(JSON.stringify({ diagnostic: frame.diagnostic.code }));
  return true;
});

function checkOpening(frame, from) {
  let start;
  if (v1) start = frame.kind === "hello" && frame.resumed_from;
  else if (frame.kind === "diagnostic") start = frame.diagnostic.resume_cursor;
  else start = frame.envelope.event_id === `snapshot:${frame.envelope.cursor}` && frame.envelope.cursor;
  if (!start || (from !== null && start !== from)) throw new Error(`not the frame that begins: ${JSON.stringify(frame)}`);
}
