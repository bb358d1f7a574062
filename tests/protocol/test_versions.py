from __future__ import annotations

import pytest

from yoi_runtime.errors import RequestInvalidError
from yoi_runtime.protocol.versions import ProtocolVersion, choose_version


@pytest.mark.parametrize("offered", [[], [""], ["", "  "]])
def test_no_subprotocol_is_v0(offered: list[str]) -> None:
    assert choose_version(offered) is ProtocolVersion.V0


@pytest.mark.parametrize(
    "offered",
    [["yoi.events.v1"], ["graphql-ws", "yoi.events.v1"], ["yoi.events.v1", "yoi.events.v2"], ["", "yoi.events.v1"]],
)
def test_v1_is_chosen_wherever_it_stands_in_the_offer(offered: list[str]) -> None:
    assert choose_version(offered) is ProtocolVersion.V1


@pytest.mark.parametrize("offered", [["graphql-ws"], ["yoi.events.v2"], ["YOI.EVENTS.V1"], ["yoi.events.v1 "], ["v0"]])
def test_other_subprotocols_alone_are_an_invalid_request(offered: list[str]) -> None:
    with pytest.raises(RequestInvalidError) as caught:
        choose_version(offered)
    assert caught.value.parameter == "Sec-WebSocket-Protocol"
