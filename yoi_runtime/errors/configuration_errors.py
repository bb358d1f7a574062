"""What is wrong with a configuration file. The whole tree is drawn in ``yoi_runtime.errors``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from yoi_runtime.errors.root import YoiError

__all__ = ["ConfigurationError", "ConfigurationFault"]


class ConfigurationFault(NamedTuple):
    """One thing that is wrong: at which line, with which key (None: with all of it), and what to do."""

    line: int | None
    key: str | None
    reason: str


class ConfigurationError(YoiError):
    """The configuration ``file`` cannot be used; ``faults`` are all that were found."""

    def __init__(self, file: str, faults: Sequence[ConfigurationFault]) -> None:
        self.file = file
        self.faults = tuple(faults)
        super().__init__("; ".join(self.sentences))

    @property
    def sentences(self) -> list[str]:
        """One sentence per fault, with its place."""
        return [
            f"{self.file}{'' if line is None else f':{line}'}: {'' if key is None else f'{key}: '}{reason}"
            for line, key, reason in self.faults
        ]
