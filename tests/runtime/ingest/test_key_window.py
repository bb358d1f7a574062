from __future__ import annotations

from yoi_runtime.runtime.ingest.key_window import KeyWindow, KeyWindows


def window_of(*keys: str, kept: int = 10) -> KeyWindow:
    return KeyWindow([(key, f"at {key}") for key in keys], kept)


def test_a_key_leads_to_its_event():
    window = window_of("a", "b")
    window.add(["c", None, "d"], ["at c", "at nothing", "at d"])
    assert [window.cursor_of(key) for key in "abcde"] == ["at a", "at b", "at c", "at d", None]
    assert len(window) == 4


def test_the_oldest_keys_make_room():
    window = window_of("a", "b", kept=3)
    window.add(["c", "d", "e"], ["at c", "at d", "at e"])
    assert [window.cursor_of(key) is not None for key in "abcde"] == [False, False, True, True, True]
    assert len(window) == 3


def test_of_two_events_with_one_key_the_first_counts():
    window = window_of("a")
    window.add(["a"], ["at another place"])
    assert window.cursor_of("a") == "at a"
    assert len(window) == 1


def test_a_window_is_lent_to_one_connection_at_a_time():
    windows = KeyWindows()
    window = window_of("a")
    windows.give_back("coder", window)
    assert windows.take("coder") is window
    assert windows.take("coder") is None


def test_those_not_used_for_longest_make_room_and_those_in_use_do_not_count():
    windows = KeyWindows(idle_keys=5)
    for name in ("first", "second", "third"):
        windows.give_back(name, window_of("a", "b"))
    assert windows.take("first") is None
    second = windows.take("second")
    assert second is not None
    windows.give_back("fourth", window_of("a", "b", "c"))
    assert windows.take("third") is not None
    windows.give_back("second", second)
    windows.give_back("fifth", window_of("a"))
    assert windows.take("fourth") is None
    assert windows.take("second") is second


def test_one_that_is_too_large_alone_is_not_kept():
    windows = KeyWindows(idle_keys=2)
    windows.give_back("large", window_of("a", "b", "c"))
    assert windows.take("large") is None
    windows.give_back("small", window_of("a", "b"))
    assert windows.take("small") is not None
