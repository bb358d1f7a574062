"""The cache of chunks: shared, bounded, and nothing but what was put into it."""

from __future__ import annotations

from random import Random

from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import Chunk
from yoi_runtime.server.chunk_cache import ChunkCache

START = Position(1, 7, 100, 0)


def chunk_after(start: Position, size: int, segment: int | None = None) -> Chunk:
    """Return one record of ``size`` bytes that follows ``start``, in its own segment or at the beginning of another."""
    begin = start if segment is None else Position(segment, 7, 100, start.seq)
    data = bytes([65 + begin.seq % 26]) * (size - 1) + b"\n"
    return Chunk(data, begin, begin._replace(offset=begin.offset + size, seq=begin.seq + 1), 1)


def filled(cache: ChunkCache, sizes: list[int]) -> list[Chunk]:
    chunks, position = [], START
    for size in sizes:
        chunks.append(chunk_after(position, size))
        cache.keep(position, chunks[-1])
        position = chunks[-1].end
    return chunks


def upper(data: bytes, records: int) -> bytes:
    return data.upper() * records


def test_what_is_asked_for_twice_is_the_same_object():
    cache = ChunkCache(1 << 20)
    filled(cache, [600])
    assert cache.get(START, 1000) is cache.get(START, 1000)
    assert cache.get(START._replace(offset=101), 1000) is None
    assert cache.get(START._replace(nonce=8), 1000) is None


def test_small_chunks_that_follow_each_other_are_joined_up_to_the_size_that_is_wanted():
    cache = ChunkCache(1 << 20)
    chunks = filled(cache, [100] * 10)
    joined = cache.get(START, 450)
    assert joined is not None
    assert (joined.data, joined.start, joined.end, joined.records) == (
        b"".join(chunk.data for chunk in chunks[:4]),
        START,
        chunks[3].end,
        4,
    )
    assert cache.get(START, 450) is joined
    last = cache.get(chunks[-1].start, 450)
    assert last is not None
    assert last.data == chunks[-1].data


def test_chunks_of_two_segments_are_not_joined():
    cache = ChunkCache(1 << 20)
    (first,) = filled(cache, [100])
    cache.keep(first.end, chunk_after(first.end, 100, segment=2))
    found = cache.get(START, 1000)
    assert found is not None
    assert found.end == first.end
    following = cache.get(first.end, 1000)
    assert following is not None
    assert following.start.segment == 2


def test_a_form_is_made_once_and_counts():
    cache = ChunkCache(1 << 20)
    filled(cache, [500])
    chunk = cache.get(START, 500)
    assert chunk is not None
    before = cache.held_bytes
    form = cache.encoded(chunk, upper)
    assert form == upper(chunk.data, chunk.records)
    assert cache.encoded(chunk, upper) is form
    assert cache.held_bytes == before + len(form)


def test_it_never_holds_more_than_it_may_and_counts_right(record_property):
    random, cache = Random(5), ChunkCache(20_000)
    position, starts, evicted = START, [START], 0
    for _ in range(2000):
        chunk = chunk_after(position, random.randrange(2, 3000))
        kept = cache.keep(position, chunk)
        position = chunk.end
        starts.append(position)
        if random.random() < 0.5:
            cache.encoded(kept, upper)
        found = cache.get(random.choice(starts[-20:-1]), 2000)
        evicted += found is None
        held = list(cache._chunks.values())
        assert cache.held_bytes == sum(each.held_bytes for each in held) <= 20_000
        assert all(each.held_bytes > len(each.data) for each in held)
    record_property("chunks looked for in vain", evicted)
    assert evicted > 100
    cache.clear()
    assert (cache.held_bytes, len(cache)) == (0, 0)


def test_a_chunk_that_fell_out_can_still_be_encoded_and_counts_no_more():
    cache = ChunkCache(4_000)
    chunk = cache.keep(START, chunk_after(START, 1000))
    filled_after = chunk_after(chunk.end, 2500)
    cache.keep(chunk.end, filled_after)
    assert cache.get(START, 1000) is None
    held = cache.held_bytes
    assert cache.encoded(chunk, upper) == upper(chunk.data, 1)
    assert cache.held_bytes == held


def test_a_chunk_larger_than_the_whole_cache_is_returned_and_not_kept():
    cache = ChunkCache(1000)
    chunk = cache.keep(START, chunk_after(START, 5000))
    assert len(chunk.data) == 5000
    assert (cache.held_bytes, len(cache)) == (0, 0)
