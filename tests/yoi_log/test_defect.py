from __future__ import annotations

from typing import get_args

from yoi_log.defect import Defect, DefectKind
from yoi_log.verification_text import defect_text


def test_every_kind_has_a_line_that_begins_with_it():
    for kind in get_args(DefectKind):
        defect = Defect(kind, "a.jsonl", 7, 3, 5, "why", "coder")
        assert defect_text(defect) == f"{kind}: a.jsonl offset 7: seq 3 to 5: Worker coder: why"
