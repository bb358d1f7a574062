from __future__ import annotations

from collections.abc import Callable

import pytest

from yoi_runtime.cli.options import (
    WorkerSpec,
    check_id,
    or_no_limit,
    parse_bind,
    parse_duration,
    parse_linger,
    parse_segment_size,
    parse_server_url,
    parse_size,
    parse_transcript_bytes,
    parse_transcript_items,
    parse_worker,
    parse_workers,
    worker_id_from_command,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:38800", "127.0.0.1", 38800),
        ("127.0.0.1:0", "127.0.0.1", 0),
        (":0", "127.0.0.1", 0),
        (":65535", "127.0.0.1", 65535),
        ("localhost:80", "localhost", 80),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("[::1]:38800", "::1", 38800),
    ],
)
def test_an_address_is_host_and_port(text: str, host: str, port: int):
    assert parse_bind(text) == (host, port)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604_800), ("1w", 604_800), ("0.5s", 0.5), ("1.5h", 5400)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float):
    assert parse_duration(text) == seconds
    assert parse_linger(text) == seconds


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("5", 5), ("0.25", 0.25), ("2m", 120)])
def test_lingering_takes_plain_seconds_too(text: str, seconds: float):
    assert parse_linger(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("65536", 65536),
        ("65536B", 65536),
        ("64KiB", 65536),
        ("64K", 65536),
        ("64k", 65536),
        ("64kb", 64000),
        ("16MiB", 16 << 20),
        ("16M", 16 << 20),
        ("16MB", 16_000_000),
        ("1GiB", 1 << 30),
        ("2TiB", 2 << 40),
    ],
)
def test_a_size_is_bytes_or_a_number_and_a_unit(text: str, size: int):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "worker"),
    [
        ("a=true", WorkerSpec("a", ("true",))),
        ("a_B-9=python3 -u x.py", WorkerSpec("a_B-9", ("python3", "-u", "x.py"))),
        ("a=env X=1 run", WorkerSpec("a", ("env", "X=1", "run"))),
        ("a=sh -c 'echo $HOME; ls'", WorkerSpec("a", ("sh", "-c", "echo $HOME; ls"))),
        ("a=printf \"two words\" ''", WorkerSpec("a", ("printf", "two words", ""))),
    ],
)
def test_a_worker_is_an_id_and_a_command_split_as_a_shell_splits(text: str, worker: WorkerSpec):
    assert parse_worker(text) == worker


WRONG: list[tuple[Callable[[str], object], str, str]] = [
    (parse_bind, "38800", "has no port"),
    (parse_bind, "localhost", "has no port"),
    (parse_bind, "127.0.0.1:", "not a port"),
    (parse_bind, "127.0.0.1:http", "not a port"),
    (parse_bind, "127.0.0.1:65536", "not a port"),
    (parse_bind, "127.0.0.1:99999999999999999999", "not a port"),
    (parse_bind, "127.0.0.1:-1", "not a port"),
    (parse_bind, "127.0.0.1:٣", "not a port"),
    (parse_bind, "::1:80", "in brackets"),
    (parse_duration, "90", "write a number and"),
    (parse_duration, "", "write a number and"),
    (parse_duration, "-5s", "write a number and"),
    (parse_duration, "5 s", "write a number and"),
    (parse_duration, "5ms", "write a number and"),
    (parse_duration, "nand", "write a number and"),
    (parse_duration, "0s", "no time at all"),
    (parse_linger, "-1", "write a number and"),
    (parse_linger, "nan", "write a number and"),
    (parse_size, "", "not a size"),
    (parse_size, "-1", "not a size"),
    (parse_size, "16 MiB", "not a size"),
    (parse_size, "1.5G", "not a size"),
    (parse_size, "16XB", "not a size"),
    (parse_size, "0", "no room"),
    (parse_size, "0MiB", "no room"),
    (parse_segment_size, "4095", "4096"),
    (parse_worker, "true", "not ID=COMMAND"),
    (parse_worker, "=true", "Worker id"),
    (parse_worker, "a b=true", "Worker id"),
    (parse_worker, "a.b=true", "Worker id"),
    (parse_worker, "a=", "no command"),
    (parse_worker, "a=   ", "no command"),
    (parse_worker, "a=echo 'open", "cannot be split"),
    (check_id, "a" * 65, "Worker id"),
    (check_id, "a\n", "Worker id"),
    (parse_server_url, "ftp://x", "http://"),
    (parse_server_url, "http://u:p@x", "no user and password"),
    (parse_server_url, "http://x/?a=1", "before the query"),
    (parse_server_url, "", "URL"),
]


@pytest.mark.parametrize(("parse", "text", "part"), WRONG, ids=[f"{p.__name__}:{t}" for p, t, _ in WRONG])
def test_what_is_wrong_is_said_in_a_sentence(parse: Callable[[str], object], text: str, part: str):
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_off_means_no_limit():
    assert or_no_limit(parse_size)("off") is None
    assert or_no_limit(parse_size)("1K") == 1024


def test_a_segment_may_have_the_least_size():
    assert parse_segment_size("4096") == 4096


def test_no_worker_id_comes_twice():
    assert [worker.worker_id for worker in parse_workers(["b=true", "a=true"])] == ["b", "a"]
    with pytest.raises(ValueError, match="a is given twice"):
        parse_workers(["a=true", "a=false"])


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:38800", "http://127.0.0.1:38800"),
        ("http://127.0.0.1:38800/", "http://127.0.0.1:38800"),
        ("127.0.0.1:38800", "http://127.0.0.1:38800"),
        ("localhost:1", "http://localhost:1"),
        ("wss://host/yoi", "wss://host/yoi"),
    ],
)
def test_an_address_without_scheme_is_meant_as_http(text: str, url: str):
    assert parse_server_url(text) == url


@pytest.mark.parametrize(
    ("command", "worker_id"),
    [
        (["python3", "x.py"], "python3"),
        (["/opt/bin/agent"], "agent"),
        (["./my.agent v2"], "my-agent-v2"),
        (["日本"], "worker"),
        (["/"], "worker"),
        ([""], "worker"),
        (["..."], "worker"),
        (["a" * 100], "a" * 64),
        (["-x-"], "x"),
    ],
)
def test_a_worker_id_is_made_of_the_programs_name(command: list[str], worker_id: str):
    assert worker_id_from_command(command) == worker_id
    assert check_id(worker_id) == worker_id


def test_a_transcripts_bounds_are_a_number_and_a_size():
    assert parse_transcript_items("250") == 250
    assert parse_transcript_bytes("2MiB") == 2 << 20


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "9" * 10, "٣"])
def test_other_numbers_of_items_are_told(text: str):
    with pytest.raises(ValueError, match="not a number of items"):
        parse_transcript_items(text)


def test_a_transcript_too_small_to_keep_an_item_is_told():
    with pytest.raises(ValueError, match="would lose items"):
        parse_transcript_bytes("64KiB")
