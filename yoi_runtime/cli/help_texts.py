r"""What ``--help`` says beyond the options: what each command is for, how it ends, and examples that can be pasted.

A paragraph that begins with ``\b`` keeps its lines. A test reads every example with the program's own parser.
"""

from __future__ import annotations

from yoi_runtime.cli.data_dir import DATA_DIR_VARIABLE
from yoi_runtime.cli.exit_codes import EXIT_CODES_HELP
from yoi_runtime.cli.options import DEFAULT_HOST, DEFAULT_PORT, NO_LIMIT

__all__ = [
    "ADAPTER",
    "ALLOW_HOST",
    "BIND",
    "CACHE_BYTES",
    "CONFIG",
    "CONFIG_CHECK",
    "CONFIG_GROUP",
    "CONFIG_SHOW",
    "CONFORMANCE",
    "CONFORMANCE_BIND",
    "CONFORMANCE_CASE",
    "CONFORMANCE_CASES",
    "CONFORMANCE_DELIVERIES",
    "CONFORMANCE_END",
    "CONFORMANCE_FAST",
    "CONFORMANCE_JOBS",
    "CONFORMANCE_JSON",
    "CONFORMANCE_LIST",
    "CONFORMANCE_MODE",
    "CONFORMANCE_NO_DELIVERIES",
    "CONFORMANCE_PATIENCE",
    "CONFORMANCE_STRICT",
    "CONFORMANCE_TOKEN",
    "CURSOR",
    "DATA_DIR",
    "DEMO",
    "DURABILITY",
    "EMIT",
    "EMIT_DATA_DIR",
    "EMIT_DURABLE",
    "EMIT_END",
    "EMIT_TEE",
    "EMIT_WORKER",
    "END",
    "FROM",
    "HEADER_TIMEOUT",
    "INSECURE_NO_TOKEN",
    "JSON",
    "LINGER",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "MAIN",
    "MAX_HEADER_BYTES",
    "MAX_INBOUND_BYTES",
    "MAX_PINGS",
    "MAX_SUBSCRIBERS",
    "MAX_SUBSCRIBERS_PER_TOKEN",
    "MAX_SUBSCRIBERS_PER_WORKER",
    "MAX_UNFINISHED",
    "PROCESSES",
    "PTY",
    "PTY_KEEP_CODES",
    "PTY_SIZE",
    "READ_ONLY",
    "RECONNECT",
    "RESERVE_DESCRIPTORS",
    "RESTART",
    "RETAIN_AGE",
    "RETAIN_BYTES",
    "RUN",
    "RUN_END",
    "SEGMENT_BYTES",
    "SERVE",
    "SERVE_END",
    "STOP_GRACE",
    "TAIL",
    "TAIL_DATA_DIR",
    "TAIL_END",
    "TAIL_TLS_CA",
    "TAIL_TOKEN_FILE",
    "TAIL_WORKER",
    "TLS_CERT",
    "TLS_KEY",
    "TOKEN",
    "TOKEN_CREATE",
    "TOKEN_EXPIRES_IN",
    "TOKEN_FILE",
    "TOKEN_JSON",
    "TOKEN_LABEL",
    "TOKEN_LIST",
    "TOKEN_LISTING",
    "TOKEN_OUTPUT",
    "TOKEN_REVOKE",
    "TOKEN_WORKER",
    "TRANSCRIPT",
    "TRANSCRIPT_BYTES",
    "TRANSCRIPT_ITEMS",
    "WORKER",
    "WORKER_ID",
]

END = EXIT_CODES_HELP

CONFIG_GROUP = """\
Look at the configuration that serve would run with.

The file is that of --config, else of $YOI_RUNTIME_CONFIG, else ./yoi-runtime.toml, else
$XDG_CONFIG_HOME/yoi-runtime/yoi-runtime.toml (~/.config/yoi-runtime/yoi-runtime.toml).
"""

CONFIG_SHOW = """\
Show the value of every setting and where it comes from.

Takes the options of serve and starts nothing. Secrets are not shown, nor are the values in a Worker's environment.

\b
Examples:
  yoi-runtime config show
  yoi-runtime config show --config ./yoi-runtime.toml --retain-age 2d
"""

CONFIG_CHECK = """\
Say what is wrong with a configuration file, with the lines; nothing when it is good.

The environment is not looked at. Exit code 0: it is good, 2: it is not.

\b
Examples:
  yoi-runtime config check yoi-runtime.toml
"""

MAIN = """\
Runs LLM-agent Workers and lets Backends follow their events without a silent gap.

Every event is a line in a log on disk before anybody sees it. Who follows may drop, come back with the cursor of the
last event it saw, and gets what it missed: after a lost connection, a restart, a kill -9.

\b
Begin here:
  yoi-runtime demo
  yoi-runtime run -- ping -c 5 127.0.0.1
  yoi-runtime serve --worker clock='sh -c "while date; do sleep 1; done"'
  yoi-runtime tail
"""

SERVE = """\
Run a Runtime and serve its events.

Serves until SIGINT (Ctrl-C) or SIGTERM. Each --worker is a command that runs as a Worker: every line it prints becomes
an event. The server stays up when they end. At a signal they are asked to stop (SIGTERM, after 4 s SIGKILL); a second
signal ends everything at once. Started again on the same directory, everybody goes on where they were.

A command reads no input. Many programs hold back what they print when it is not for a terminal: switch that off, for
instance with python3 -u or stdbuf -oL, or give them one with --pty.

Every option can also stand in a file, as retain_bytes = "1GiB" for --retain-bytes, or in the environment, as
YOI_RUNTIME_RETAIN_BYTES. Options count over the environment, that over the file. In the file Workers say more: their
directory, their environment, when they run again. The manual is docs/configuration.md.

\b
Examples:
  yoi-runtime serve
  yoi-runtime serve --worker agent='python3 -u agent.py' --worker sh='sh -c "uname -a"'
  yoi-runtime serve --data-dir ./data --bind 127.0.0.1:0 --retain-bytes 256MiB --retain-age 2d
  yoi-runtime serve --data-dir ./data --bind :38801 --read-only
  yoi-runtime serve --bind 0.0.0.0:38800 --token-file tokens.json --tls-cert cert.pem --tls-key key.pem
  yoi-runtime serve --worker agent='python3 -u agent.py' --restart on-failure --stop-grace 30s
  yoi-runtime serve --config ./yoi-runtime.toml
"""

SERVE_END = (
    "While it serves, DATA_DIR/server.json holds the address; tail looks there. A port in use is an error, a port is"
    " never shared. " + END
)

RUN = """\
Run one command as a Worker, and pass its exit code on.

Where a Runtime runs already on the data directory, the events go into its log, and it serves them; otherwise this is
the Runtime, and serves until the command ends. The command's output goes into the log, not to this
terminal: follow it with yoi-runtime tail in another one. The command is run as given, without a shell, and reads no
input; python3 wants -u, lest it holds its output back.

\b
Examples:
  yoi-runtime run -- python3 -u agent.py --task 'fix the tests'
  yoi-runtime run -- claude -p 'fix the tests' --output-format stream-json --verbose --include-partial-messages
  yoi-runtime run --worker-id build --linger 60 -- make -j4
  yoi-runtime run --adapter lines -- sh -c 'for i in 1 2 3; do echo $i; sleep 1; done'
  yoi-runtime run --pty -- npm test
"""

RUN_END = (
    "When the Runtime that it joined goes away, the command is held back in its next write; once it is back, all goes on,"
    " nothing is lost and nothing comes twice. Exit codes: the command's own, 128+N when signal N ended it or yoi-runtime"
    " itself. Before it could run: 1 failed, 2 wrong usage, 3 another process holds the log and does not listen. 6: the"
    " Runtime went away and did not come back, the command was killed."
)

EMIT = """\
Send what a program prints to a Runtime that runs.

Reads lines from standard input until its end, and brings them as the Worker ID into the log of the Runtime that serves
the data directory on this machine: JSON lines of events or of a known agent, or text. Ends when the Runtime has
acknowledged all of it; when it goes away meanwhile, what was not acknowledged is sent again once it is back, and counts
once.

\b
Examples:
  some-agent | yoi-runtime emit --worker coder
  make 2>&1 | yoi-runtime emit --worker build --adapter lines --tee
  yoi-runtime emit --worker import --adapter jsonl --durable < events.jsonl
"""

EMIT_END = (
    "The Worker ends as completed at the end of the input, as cancelled by a signal, as crashed when this program is"
    " killed. Exit codes: 0 the Runtime has all of it, 1 failed, or it refused some of it, 2 wrong usage, 6 the Runtime"
    " went away, or there is none, 128+N ended by signal N (Ctrl-C 130, SIGTERM 143)."
)
EMIT_DATA_DIR = (
    "Directory of a Runtime on this machine; it listens at runtime.sock there."
    f" [default: ${DATA_DIR_VARIABLE}, else $XDG_DATA_HOME/yoi-runtime, else ~/.local/share/yoi-runtime]"
)
EMIT_DURABLE = "Wait until what was sent survives a power cut, not only a killed process."
EMIT_TEE = "Print the input as well, as it came."
EMIT_WORKER = "The Worker's id, 1 to 64 of A-Z a-z 0-9 _ -. One that has run before continues its numbers."
RECONNECT = f"How long a Runtime that was joined may be away before this ends; {NO_LIMIT}: for ever."

TAIL = f"""\
Follow a Runtime's events, across restarts.

Reconnects by itself, resumes where it was, shows no event twice.

URL is the address that serve printed, such as http://{DEFAULT_HOST}:{DEFAULT_PORT}; without it the one in
DATA_DIR/server.json is taken. Ctrl-C prints the command that goes on from here.

\b
Examples:
  yoi-runtime tail
  yoi-runtime tail http://{DEFAULT_HOST}:{DEFAULT_PORT} --worker agent --from oldest
  yoi-runtime tail --json | jq -r .envelope.payload.event
  yoi-runtime tail https://runtime.example:38800 --token-file backend.token --tls-ca ca.pem
"""

TAIL_END = (
    "When a cursor is refused, for instance because its events were rotated out, tail says so and ends with 4:"
    " it never skips events silently. " + END
)

DEMO = """\
Watch Workers, a server and a client at work.

Takes about 12 seconds, in this terminal. A scripted agent and an ordinary program run as Workers; a client follows them over WebSocket. In the middle the
server is stopped while the Workers go on, and started again: the client resumes, and nothing is missing. Uses a
temporary directory, which is removed at the end.
"""

CONFORMANCE = """\
Test whether a client keeps to the protocol.

Plays scripted Runtimes to a Backend's client, in any language: drops, torn frames, refusals, shutdowns, unknown frames.
With a COMMAND, the client is started anew for every case; in the command {url}, {worker}, {mode}, {token}, {state} are
replaced. It prints the event_id of each event it hands over, one a line, and ! and a word when it tells its consumer
that the stream stopped or that events are missing. Without a COMMAND, each case waits at a URL of its own for a client
that somebody else starts. The manual is docs/conformance.md.

\b
Examples:
  yoi-runtime conformance --mode v0 -- ./my-client --url {url} --worker {worker}
  yoi-runtime conformance --fast --json -- node client.js {url} {state} > report.json
  yoi-runtime conformance --bind 127.0.0.1:39000 --case resume_after_drop --case batch
  yoi-runtime conformance --list
"""

CONFORMANCE_END = (
    "A case that fails says what was expected, what was seen, and which section of docs/protocol.md demands it."
    " SHOULDs that are not done are warnings. " + END
)
CONFORMANCE_BIND = "Address to play at; port 0 picks free ones. A fixed port plays one case at a time to a COMMAND."
CONFORMANCE_CASE = "Play this case; may be repeated. [default: all of the mode]"
CONFORMANCE_CASES = "A TOML file with more cases; may be repeated."
CONFORMANCE_DELIVERIES = (
    "Without a COMMAND: the file the client writes what it hands over to; {case} in it is the case's name."
    " [default: none, the wire alone is judged]"
)
CONFORMANCE_FAST = "Tell the client shorter delays, and watch for what must not come for a quarter of the time."
CONFORMANCE_JOBS = "Play so many cases at a time, with a COMMAND."
CONFORMANCE_JSON = "Print the report as JSON, with the story of every case."
CONFORMANCE_LIST = "List the cases and exit."
CONFORMANCE_MODE = "The version that the client speaks; v1 offers the subprotocol yoi.events.v1, v0 none."
CONFORMANCE_NO_DELIVERIES = "The COMMAND does not report what it hands over: the wire alone is judged."
CONFORMANCE_PATIENCE = "Wait so long for whatever the client has to do: its backoff is its own affair."
CONFORMANCE_STRICT = "Fail also when a SHOULD is not done."
CONFORMANCE_TOKEN = "The token that the client has to send as Authorization: Bearer. [default: none]"

DATA_DIR = (
    "Directory of the log; made when missing."
    f" [default: ${DATA_DIR_VARIABLE}, else $XDG_DATA_HOME/yoi-runtime, else ~/.local/share/yoi-runtime]"
)
TAIL_DATA_DIR = (
    "Directory of a Runtime on this machine; its server.json says where it serves."
    f" [default: ${DATA_DIR_VARIABLE}, else $XDG_DATA_HOME/yoi-runtime, else ~/.local/share/yoi-runtime]"
)
BIND = (
    f"Address to listen on; port 0 picks a free one, :PORT is {DEFAULT_HOST}:PORT, IPv6 is written [::1]:PORT."
    " Where others than this machine could connect, --token-file is needed."
)
WORKER = "Run COMMAND as the Worker ID; may be repeated. Split into words as a shell would, but no shell runs."
ADAPTER = (
    "How output becomes events. auto: as the first JSON objects show, text where there are none; claude-code, codex,"
    " gemini, opencode, acp: the JSON lines of that agent; jsonl: each line is an event in JSON; lines: each line is"
    " text. Installed distributions may bring more."
)
SEGMENT_BYTES = "Size of one file of the log, for example 64MiB; at least 4096. [default: 16MiB]"
RETAIN_BYTES = f"Keep at most about N bytes of events, the oldest go first; {NO_LIMIT}: no limit. [default: 1GiB]"
RETAIN_AGE = f"Keep events this long: 90s, 15m, 2h, 7d; {NO_LIMIT}: no limit. [default: 7d]"
DURABILITY = (
    "When an event is shown. synced: once it survives a power cut; written: at once, it then survives only a"
    " killed process. [default: synced]"
)
TRANSCRIPT = (
    "Keep a transcript of every Worker and answer it at /v1/workers/ID/transcript: what was said, for longer than the"
    " events are kept. [default: transcript]"
)
TRANSCRIPT_ITEMS = "Keep so many items of each Worker's transcript, the oldest go first. [default: 10000]"
TRANSCRIPT_BYTES = "Keep so many bytes of each Worker's transcript, the oldest items go first. [default: 16MiB]"
CACHE_BYTES = (
    "Keep so much of the log in the memory of each server process, shared by its subscribers. [default: 64MiB]"
)
PROCESSES = "Serve from so many processes on one address, to use more than one core; one of them writes the log."
LOG_FORMAT = (
    "Lines of the program's own log, on stderr: text for people, or json, one object each."
    " docs/operations.md names every event."
)
LOG_LEVEL = "Log from this level on."
READ_ONLY = "Only serve a directory that another process writes: one more server on the same log. Takes no --worker."
RESTART = (
    "When a Worker runs again: never, on-failure (an exit code other than 0, or a signal), always. After a delay that"
    " grows, and not for ever: the file says how."
)
STOP_GRACE = "How long a Worker may take to end after SIGTERM, before SIGKILL."
PTY = (
    "Give each Worker a terminal of its own, for programs that behave differently without one. Codes are taken out of"
    " its text; stdout and stderr become one."
)
PTY_SIZE = "Columns and rows of that terminal."
PTY_KEEP_CODES = "Leave the codes in the text."
CONFIG = (
    "The configuration file."
    " [default: $YOI_RUNTIME_CONFIG, else ./yoi-runtime.toml or ~/.config/yoi-runtime/yoi-runtime.toml, if there is one]"
)
WORKER_ID = "The Worker's id, 1 to 64 of A-Z a-z 0-9 _ -. [default: made of the program's name]"
LINGER = "Serve on for so long after the command has ended; Ctrl-C ends that early."
TAIL_WORKER = "Follow this Worker's events only; waits for it when there is none yet. [default: all events]"
CURSOR = "Go on after this place, as an earlier tail printed it or an event's envelope has it."
CURSOR_FILE = (
    "Remember the place in FILE, and go on there the next time; --from is for the first time. An event that was printed"
    " in the last second before a kill may come again, none is left out."
)
FROM = "Where to begin: the oldest event that is kept, or only what comes now. [default: now]"
JSON = "Print each event as the JSON line that came over the wire; for programs."
TOKEN_FILE = (
    "List of the tokens that are let in (Authorization: Bearer), made by yoi-runtime token create. A change to it holds"
    " at once, also for streams that run. [default: nobody is asked for a token]"
)
INSECURE_NO_TOKEN = "Listen on an address that others than this machine can reach, without asking for a token."
TLS_CERT = (
    "Certificate (PEM, with its chain) to serve https and wss with; taken over when it changes. [default: no TLS]"
)
TLS_KEY = "Key of the certificate (PEM); readable by nobody else. [default: none]"
ALLOW_HOST = (
    "One more name under which the server may be addressed; may be repeated, * is any."
    " [default: loopback and the bound address]"
)
MAX_SUBSCRIBERS = (
    "So many subscribers at once in each server process; more are told to come back."
    " [default: 10000, or what the limit of open files leaves]"
)
MAX_SUBSCRIBERS_PER_TOKEN = "So many subscribers at once with one token, in each server process. [default: no limit]"
MAX_SUBSCRIBERS_PER_WORKER = "So many subscribers at once of one Worker, in each server process. [default: no limit]"
MAX_UNFINISHED = "So many connections at once that have not sent a good request yet; the oldest give way."
HEADER_TIMEOUT = "Time for a connection to send a good request."
MAX_HEADER_BYTES = "Size of a request line with its headers; at least 1KiB. [default: 8KiB]"
MAX_PINGS = "So many pings from a subscriber in a second; more end its connection."
MAX_INBOUND_BYTES = (
    "So many bytes from a subscriber in a second; more end its connection. At least 1KiB. [default: 16KiB]"
)
RESERVE_DESCRIPTORS = "Keep so many open files for the log, however many connect."
TAIL_TOKEN_FILE = "File that holds the token to show, and nothing else. [default: what is in $YOI_TOKEN]"
TAIL_TLS_CA = "Certificate (PEM) of the authority that signed the server's. [default: the system's authorities]"

TOKEN = """\
Make, list and revoke tokens of a server.

A server that was started with --token-file lets in who shows a token of that list. The list holds no token, only
digests: a token is shown once, when it is made.

\b
Examples:
  yoi-runtime token create --token-file tokens.json --label backend --output backend.token
  yoi-runtime token list --token-file tokens.json
  yoi-runtime token revoke --token-file tokens.json backend
"""
TOKEN_CREATE = """\
Make a token and print it, this once.

Adds it to the list, which is made when missing. To exchange a token without a break: make a new one, give it to the
Backend, then revoke the old one.

\b
Examples:
  yoi-runtime token create --token-file tokens.json --label backend --expires-in 90d --output backend.token
  yoi-runtime token create --token-file tokens.json --worker coder --worker tester
"""
TOKEN_LISTING = """\
List the tokens: what for, until when.

\b
Examples:
  yoi-runtime token list --token-file tokens.json
"""
TOKEN_REVOKE = """\
Revoke a token.

Running servers end the streams that were opened with it within seconds, with close code 4401.

\b
Examples:
  yoi-runtime token revoke --token-file tokens.json t-1f0c62aa
"""
TOKEN_LIST = "The list of tokens."
TOKEN_WORKER = "Let the token see this Worker alone; may be repeated."
TOKEN_EXPIRES_IN = "Let the token expire after so long: 90s, 12h, 90d. [default: never]"
TOKEN_OUTPUT = "Write the token into this new file, for its owner alone, instead of printing it. [default: stdout]"
TOKEN_LABEL = "What it is for; shown by token list."
TOKEN_JSON = "Print each token as a line of JSON; for programs."
