"""``yoi-runtime`` and ``python -m yoi_runtime``: hands over to the command line, or says what it needs."""

from __future__ import annotations

import sys

from yoi_runtime.errors import MissingExtraError

__all__ = ["main"]

# What the extra brings; anything else that cannot be imported is a bug, and keeps its traceback.
_CLI_LIBRARIES = ("typer", "rich")


def main() -> int:
    """Run the command line with ``sys.argv`` and return its exit code."""
    try:
        from yoi_runtime.cli.app import run_app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _CLI_LIBRARIES:
            raise
        print(f"yoi-runtime: {MissingExtraError('cli', 'the command line')}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # Ctrl-C while everything is being imported: 128 + SIGINT
    return run_app()


if __name__ == "__main__":
    sys.exit(main())
