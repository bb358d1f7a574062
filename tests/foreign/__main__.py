"""``python3 tools/dev.py foreign``: makes every foreign client ready, and lets it read. Arguments are pytest's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.foreign.foreign_clients import BUILD_VARIABLE

os.environ[BUILD_VARIABLE] = "1"
sys.exit(pytest.main([str(Path(__file__).parent), "-rsA", "--quiet", "--timeout=600", *sys.argv[1:]]))
