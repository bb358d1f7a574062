"""A whole Backend client in Python: python3 backend.py URL WORKER MODE STATE_DIR (pip install websockets).

Prints the event_id of each event it hands over, and "! CODE" when the stream is over or events are missing.
"""

import json
import random
import sys
import time
from pathlib import Path

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

URL, WORKER, MODE, STATE = sys.argv[1:5]
CURSOR_FILE = Path(STATE) / "cursor"


class Backend:
    def __init__(self):
        self.cursor = CURSOR_FILE.read_text() if CURSOR_FILE.exists() else None
        self.seen = {}  # the newest event ids, in order
        self.next_seq = None  # the worker_seq that must come next
        self.silence_seconds = None  # longest time without a frame, in v1
        self.problem = {}  # the newest diagnostic that asked for something

    def run(self):
        tries = 0
        while True:
            self.problem, came = {}, len(self.seen)
            try:
                status = self.follow()
            except InvalidStatus as refused:  # HTTP instead of an upgrade
                status = refused.response.status_code
                self.problem = read_problem(refused.response.body)
            except OSError:  # no answer at all, or not an HTTP one
                status = None
            if status == "end":
                return
            if not self.may_come_back(status):
                self.tell(self.problem.get("code", status))
            tries = 0 if len(self.seen) > came else tries + 1
            asked_ms = self.problem.get("retry_after_ms", 0)
            time.sleep(asked_ms / 1000 + random.uniform(0.5, 1) * min(30, 0.2 * 2**tries))

    def follow(self):
        """Read one connection to its end; return its close code, None if it broke, "end" if the stream is over."""
        query = f"?cursor={self.cursor}" if self.cursor else "?from=oldest"
        if MODE == "v1":
            query += "&batch=1"
        address = URL.replace("http", "ws", 1) + f"/v1/workers/{WORKER}/events/ws{query}"
        subprotocols = ["yoi.events.v1"] if MODE == "v1" else None
        options = {"max_size": 2**20, "compression": None, "proxy": None, "close_timeout": 2}
        with connect(address, subprotocols=subprotocols, **options) as stream:
            try:
                while True:
                    if self.take(json.loads(stream.recv(self.silence_seconds))) == "end":
                        return "end"
            except TimeoutError:  # three heartbeats without a frame
                return None
            except ConnectionClosed as closed:
                return closed.rcvd and closed.rcvd.code

    def take(self, frame):
        kind = frame.get("kind")
        if kind == "batch":
            for one in frame["frames"]:
                self.take(one)
        elif kind == "event":
            self.event(frame["envelope"])
        elif kind == "hello":
            self.silence_seconds = 3 * frame["heartbeat_ms"] / 1000
            self.store(frame["resumed_from"])
        elif kind in ("bookmark", "caught_up"):
            self.store(frame["cursor"])
        elif kind == "diagnostic":
            self.diagnostic(frame["diagnostic"])
        return kind

    def event(self, envelope):
        event_id, number = envelope["event_id"], envelope.get("worker_seq")
        if event_id.startswith("snapshot:"):  # v0's first frame: no event, but a place
            self.store(envelope["cursor"])
        elif event_id not in self.seen:
            if self.next_seq not in (None, number):
                raise OSError("events are missing")  # come back for them
            print(event_id, flush=True)  # your work goes here; the cursor is stored after it
            self.next_seq = number + 1
            self.seen[event_id] = None
            if len(self.seen) > 4096:
                del self.seen[next(iter(self.seen))]
            self.store(envelope["cursor"])

    def diagnostic(self, diagnostic):
        if diagnostic["code"] == "runtime.record_corrupt":  # v1 goes on behind the damage
            self.next_seq = None
            print("!", diagnostic["code"], flush=True)
        if diagnostic.get("recovery", "none") != "none":
            self.problem = diagnostic

    def may_come_back(self, status):
        if "recovery" in self.problem:
            return self.problem["recovery"] == "reconnect"
        if status is None or status >= 1000:  # a broken connection, or a close code
            return status is None or not 4400 <= status <= 4499
        return status >= 500 or status in (404, 408, 429)

    def store(self, cursor):
        self.cursor = cursor
        new = CURSOR_FILE.with_suffix(".new")
        new.write_text(cursor)
        new.replace(CURSOR_FILE)

    def tell(self, what):
        print("!", what, flush=True)
        sys.exit(f"the stream is over: {what}")


def read_problem(body):
    try:
        return json.loads(body)["diagnostic"]
    except (ValueError, KeyError, TypeError):
        return {}


Backend().run()
