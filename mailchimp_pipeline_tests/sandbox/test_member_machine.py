"""Random actions in any order: only the contact can reverse the contact's decision."""

from collections import Counter
from typing import Any

import requests
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mailchimp_pipeline_tests.sandbox.calls import ANN, BOB, KEY, AudienceApi, a_member
from sandbox import Sandbox, Status
from sandbox.model.member_actions import ImpossibleActionError

people = st.sampled_from([ANN, BOB])
statuses = st.sampled_from(["subscribed", "pending", "unsubscribed", "cleaned", "transactional"])
ANSWERS = {200, 204, 400, 404, 405}


class MemberMachine(RuleBasedStateMachine):
    """An audience with two contacts and all possible actors."""

    sandbox: Sandbox

    def __init__(self) -> None:
        super().__init__()
        self.sandbox.reset()
        self.list_id = self.sandbox.add_audience(self.sandbox.add_account(KEY))
        self.api = AudienceApi(self.sandbox.api_root, self.list_id)
        self.gone: set[str] = set()
        """Addresses that only the contact can subscribe."""
        self.forgotten: set[str] = set()
        """Addresses that only the contact can add."""
        self.api.batch(a_member(ANN), a_member(BOB))

    def teardown(self) -> None:
        self.api.session.close()

    def status(self, address: str) -> Status | None:
        member = self.sandbox.member(self.list_id, address)
        return None if member is None else member.status

    def answered(self, answer: requests.Response) -> dict[str, Any]:
        assert answer.status_code in ANSWERS, answer.text
        return answer.json() if answer.content else {}

    @rule(address=people, status=statuses, update=st.booleans())
    def batch(self, address: str, status: str, *, update: bool) -> None:
        answer = self.api.batch(a_member(address, status), update_existing=update)
        assert answer["total_created"] + answer["total_updated"] + answer["error_count"] == 1
        self.note_bounce(address)

    @rule(address=people, status=statuses, method=st.sampled_from(["PUT", "PATCH"]))
    def change(self, address: str, status: str, method: str) -> None:
        body = {**a_member(address, status), "status_if_new": status}
        answer = self.api.call(method, self.api.member(address), body)
        if "status" in (shown := self.answered(answer)) and answer.ok:
            assert shown["status"] == status == self.status(address)
        self.note_bounce(address)

    @rule(address=people)
    def archive(self, address: str) -> None:
        self.answered(self.api.delete(self.api.member(address)))

    @rule(address=people, new_address=people)
    def move(self, address: str, new_address: str) -> None:
        answer = self.api.patch(self.api.member(address), {"email_address": new_address})
        self.answered(answer)
        if answer.ok and address != new_address and address in self.gone:
            self.gone.remove(address)
            self.gone.add(new_address)

    @rule(address=people)
    def forget(self, address: str) -> None:
        answer = self.api.delete_permanently(address)
        self.answered(answer)
        if answer.ok:
            self.gone.discard(address)
            self.forgotten.add(address)

    @rule(address=people)
    def contact_leaves(self, address: str) -> None:
        try:
            self.sandbox.unsubscribe_by_link(self.list_id, address)
            self.gone.add(address)
        except ImpossibleActionError:
            assert self.status(address) is None

    @rule(address=people)
    def contact_confirms(self, address: str) -> None:
        try:
            self.sandbox.confirm(self.list_id, address)
            self.gone.discard(address)
            assert self.status(address) == "subscribed"
        except ImpossibleActionError:
            assert self.status(address) != "pending"

    @rule(address=people)
    def contact_signs_up(self, address: str) -> None:
        self.sandbox.sign_up(self.list_id, address)
        if self.status(address) == "subscribed":
            self.gone.discard(address)
        self.forgotten.discard(address)

    def note_bounce(self, address: str) -> None:
        """Only the contact can resubscribe a member that the API set to cleaned."""
        if self.status(address) == "cleaned":
            self.gone.add(address)

    @invariant()
    def those_who_left_stay_away(self) -> None:
        assert {self.status(address) for address in self.gone}.isdisjoint({None, Status.SUBSCRIBED})

    @invariant()
    def those_who_were_deleted_stay_so(self) -> None:
        assert {self.status(address) for address in self.forgotten} <= {None}

    @invariant()
    def all_counts_agree(self) -> None:
        members = self.sandbox.members(self.list_id)
        assert self.sandbox.statuses(self.list_id) == Counter(member.status for member in members)
        listed = self.api.get(f"{self.api.here}/members", status="subscribed", fields="total_items").json()
        assert listed["total_items"] == sum(member.status is Status.SUBSCRIBED for member in members)


def test_only_the_contact_reverses_the_contacts_decision(sandbox: Sandbox) -> None:
    machine = type("Machine", (MemberMachine,), {"sandbox": sandbox})
    bounds = settings(
        max_examples=60,
        stateful_step_count=15,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine, settings=bounds)
