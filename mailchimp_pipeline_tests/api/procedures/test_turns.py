"""Turns at what costs much: who gets one, and what those hear that do not."""

from contextlib import ExitStack

import pytest

from api.procedures.turns import PREVIEWS, Turns
from api.trpc import TRPCError
from mailchimp_pipeline_tests.api.procedures.stage import Tenant


def is_let_in(turns: Turns, organisation_id: str) -> bool:
    try:
        with turns.turn(organisation_id, 0):
            return True
    except TRPCError:
        return False


def test_an_organisation_has_one_turn_and_all_together_have_a_few() -> None:
    turns = Turns(2)
    with turns.turn("acme", 0):
        assert (is_let_in(turns, "acme"), is_let_in(turns, "umbrella")) == (False, True)
        with turns.turn("umbrella", 0):
            assert not is_let_in(turns, "initech")


def test_a_turn_is_given_back_also_by_what_fails() -> None:
    turns = Turns(1)
    with pytest.raises(KeyError), turns.turn("acme", 0):
        raise KeyError
    assert is_let_in(turns, "acme")


def test_a_preview_that_gets_no_turn_is_told_when_to_come_back(tenant: Tenant) -> None:
    with ExitStack() as taken:
        for other in ("umbrella", "initech"):
            taken.enter_context(PREVIEWS.turn(other, 0))
        refused = tenant.query("segments.preview", {"segmentType": "mixed"})
    assert (refused.status, refused.headers["retry-after"]) == (429, "5")
    assert tenant.query("segments.preview", {"segmentType": "mixed"}).status == 200
