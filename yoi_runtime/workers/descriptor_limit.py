"""The soft limit of open files: raised for this process, and for its children what it was before.

Programs that use ``select(2)`` break on a descriptor above 1,023, and some close every number up to the limit when they
start: what a server needs must not reach those that it starts.
"""

from __future__ import annotations

import resource
from collections.abc import Callable

__all__ = ["raised_limit", "with_limit_of_before"]

_MACOS_MOST = 10_240
# What it was before it was raised the first time; None while it has not been.
_before: int | None = None


def raised_limit(wanted: int) -> int:
    """Raise the soft limit of open files to ``wanted``, as far as the hard one lets it, and return what is allowed then."""
    global _before  # noqa: PLW0603 - the limit is the process's, too
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    # macOS calls its hard limit infinite and refuses more than this.
    for step in (wanted, _MACOS_MOST):
        target = step if hard == resource.RLIM_INFINITY else min(step, hard)
        if target <= soft:
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        except (OSError, ValueError):
            continue
        _before = soft if _before is None else _before
        return target
    return soft


def with_limit_of_before(first: Callable[[], None] | None) -> Callable[[], None] | None:
    """Return what a child must call between fork and exec: ``first``, and its limit is what ours was before it was raised.

    Looks nothing up in the child; see ``parent_death.py``.
    """
    if _before is None:
        return first
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    set_limit, which, limits = resource.setrlimit, resource.RLIMIT_NOFILE, (min(soft, _before), hard)

    def in_child() -> None:
        if first is not None:
            first()
        set_limit(which, limits)

    return in_child
