from __future__ import annotations

import re

from yoi_runtime.notices import FIELDS_ATTRIBUTE, NOTICE_ATTRIBUTE, Notice, named


def test_names_are_snake_case_and_each_is_given_once():
    values = [notice.value for notice in Notice]
    assert [value for value in values if not re.fullmatch(r"[a-z]+(_[a-z]+)*", value)] == []
    assert len(set(values)) == len(values) == len(Notice.__members__)


def test_a_name_and_its_fields_go_along_as_extra():
    extra = named(Notice.RECORD_DAMAGED, segment=3, offset=17)
    assert extra == {NOTICE_ATTRIBUTE: "record_damaged", FIELDS_ATTRIBUTE: {"segment": 3, "offset": 17}}
