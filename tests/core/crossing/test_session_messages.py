"""Grants and blocks on the wire."""

import pytest

from qubes_manager.core.crossing.broker_messages import parse_reply, parse_request
from qubes_manager.core.crossing.session_messages import RevokeGrant, SessionGrant, SessionRules, Unblock
from qubes_manager.core.json_lines import BadMessage

GRANT = SessionGrant("untrusted", "qubes.Filecopy", "", "work", "@dispvm")


def test_what_holds_comes_as_it_was_told() -> None:
    rules = SessionRules((GRANT, SessionGrant("a", "b", "c", "d")), ("web", "uuid:1"))

    assert parse_reply(rules.to_json().encode()) == rules


def test_a_grant_is_revoked_as_it_was_listed() -> None:
    request = parse_request(RevokeGrant.for_grant(GRANT).to_json().encode())

    assert isinstance(request, RevokeGrant)
    assert request.grant == GRANT


def test_a_block_is_lifted_by_name() -> None:
    assert parse_request(Unblock("web").to_json().encode()) == Unblock("web")


@pytest.mark.parametrize("line", [b'{"type":"session","grants":[5],"blocked":[]}', b'{"type":"session","grants":[]}'])
def test_what_is_none_is_refused(line: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_reply(line)
