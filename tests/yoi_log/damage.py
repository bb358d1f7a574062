"""Damage of every kind to the files of a log, for verify and repair. A damage takes a data directory and its dice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

__all__ = ["DAMAGES", "Damage", "segments_of"]

Damage = Callable[[Path, Random], object]


def segments_of(data: Path) -> list[Path]:
    return sorted((data / "log").glob("*.jsonl"))


def _some(data: Path, dice: Random) -> tuple[Path, bytearray, int]:
    path = dice.choice([path for path in segments_of(data) if path.stat().st_size])
    content = bytearray(path.read_bytes())
    return path, content, dice.randrange(len(content))


def _overwrite(new: Callable[[Random, int], bytes]) -> Damage:
    def do(data: Path, dice: Random) -> None:
        path, content, at = _some(data, dice)
        length = min(dice.choice((1, 8, 64, 512, 2000)), len(content) - at)
        content[at : at + length] = new(dice, length)
        path.write_bytes(content)

    return do


def flip(data: Path, dice: Random) -> None:
    path, content, at = _some(data, dice)
    content[at] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def flip_in_a_header(data: Path, dice: Random) -> None:
    path, content, _ = _some(data, dice)
    content[dice.randrange(min(100, len(content)))] ^= 1
    path.write_bytes(content)


def truncate(data: Path, dice: Random) -> None:
    path, content, at = _some(data, dice)
    path.write_bytes(content[:at])


def take_out(data: Path, dice: Random) -> None:
    path, content, at = _some(data, dice)
    del content[at : at + dice.choice((1, 8, 64, 512, 2000))]
    path.write_bytes(content)


def put_in(data: Path, dice: Random) -> None:
    path, content, at = _some(data, dice)
    content[at:at] = dice.randbytes(dice.choice((1, 8, 64, 512)))
    path.write_bytes(content)


def delete_segment(data: Path, dice: Random) -> None:
    dice.choice(segments_of(data)).unlink()


def swap_segments(data: Path, dice: Random) -> None:
    one, other = dice.sample(segments_of(data), 2)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def copy_segment_over_another(data: Path, dice: Random) -> None:
    one, other = dice.sample(segments_of(data), 2)
    one.write_bytes(other.read_bytes())


def spoil_watermark(data: Path, dice: Random) -> None:
    (data / "log" / "COMMITTED").write_bytes(dice.randbytes(1024))


def delete_watermark(data: Path, dice: Random) -> None:
    (data / "log" / "COMMITTED").unlink()


def spoil_index(data: Path, dice: Random) -> None:
    path = dice.choice(sorted((data / "log").glob("*.index.json")))
    path.write_bytes(path.read_bytes()[:-20] + b"\n")


def spoil_catalog(data: Path, dice: Random) -> None:
    path = data / "catalog.json"
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content) - 1)] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Damage] = {
    "a flipped bit": flip,
    "a flipped bit in a header": flip_in_a_header,
    "a run of zeros": _overwrite(lambda _, length: bytes(length)),
    "a run of garbage": _overwrite(lambda dice, length: dice.randbytes(length)),
    "a truncated segment": truncate,
    "bytes taken out": take_out,
    "bytes put in": put_in,
    "a missing segment": delete_segment,
    "two segments swapped": swap_segments,
    "a segment copied over another": copy_segment_over_another,
    "a spoiled watermark": spoil_watermark,
    "no watermark": delete_watermark,
    "a spoiled index": spoil_index,
    "a spoiled catalog": spoil_catalog,
}
