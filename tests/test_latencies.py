from __future__ import annotations

from yoi_runtime.latencies import BOUNDS_SECONDS, Latencies


def test_a_duration_is_counted_in_its_bucket_and_in_all_larger_ones():
    latencies = Latencies()
    for seconds in (0.000001, 0.00001, 0.0003, 0.7, 99.0):
        latencies.add(seconds)
    counted = dict(latencies.cumulated())
    assert counted["1e-05"] == 2, "a bound belongs to its bucket"
    assert (counted["0.00025"], counted["0.0005"]) == (2, 3)
    assert (counted["0.5"], counted["1.0"], counted["10.0"], counted["+Inf"]) == (3, 4, 4, 5)
    assert latencies.count == 5
    assert latencies.sum_seconds == sum((0.000001, 0.00001, 0.0003, 0.7, 99.0))


def test_bounds_ascend_and_every_one_has_its_bucket():
    assert list(BOUNDS_SECONDS) == sorted(set(BOUNDS_SECONDS))
    assert [float(bound) for bound, _ in Latencies().cumulated()] == [*BOUNDS_SECONDS, float("inf")]
