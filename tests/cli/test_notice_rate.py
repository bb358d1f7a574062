from __future__ import annotations

from yoi_runtime.cli.notice_rate import NoticeRate


def test_a_burst_is_admitted_and_the_rest_of_the_window_is_counted():
    rate = NoticeRate(burst=3, window_seconds=10)
    assert [rate.admits("a", 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert rate.seconds_left(4.0) == 6.0
    assert rate.over(9.9) == []
    assert rate.over(10.0) == [("a", 2)]
    assert rate.admits("a", 10.0)
    assert rate.seconds_left(10.0) is None


def test_a_flood_of_one_name_hides_no_other():
    rate = NoticeRate(burst=2, window_seconds=10)
    assert [rate.admits("a", 0.0) for _ in range(100)].count(True) == 2
    assert rate.admits("b", 0.0)


def test_windows_of_names_that_are_quiet_again_are_forgotten():
    rate = NoticeRate(burst=2, window_seconds=10)
    for number in range(50):
        assert rate.admits(f"n{number}", 0.0)
    assert rate.over(10.0) == []
    assert rate._windows == {}


def test_what_is_still_held_back_can_be_told_at_the_end():
    rate = NoticeRate(burst=1, window_seconds=10)
    assert [rate.admits("a", 0.0), rate.admits("a", 0.0)] == [True, False]
    assert rate.rest() == [("a", 1)]
    assert rate.rest() == []
