"""A process that dies between what Mailchimp did and what we write down, and what its contacts say meanwhile."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.errors import PassingError
from mailchimp_pipeline.sync import MemberOutcome, MemberStatus, Refusal
from mailchimp_pipeline_tests.database.builders import LIST, a_member, members
from mailchimp_pipeline_tests.fakes import FakeAudiences
from mailchimp_pipeline_tests.ledger_fake import FakeLedger
from mailchimp_pipeline_tests.ledger_values import Said
from mailchimp_pipeline_tests.sync.stage import ANN, SEGMENT, Stage, a_stage, people

ANN_KEY = subscriber_hash(ANN)


class Dying(FakeLedger):
    """Dies instead of writing down the first batch."""

    died = False

    def record(self, rows: pd.DataFrame, outcomes: Sequence[MemberOutcome]) -> None:
        if not self.died:
            self.died = True
            raise PassingError("The process was killed.")
        super().record(rows, outcomes)


@pytest.fixture(params=[True, False], ids=["asked to confirm", "subscribed"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Return a stage on which Ann was sent, and nobody wrote it down."""
    made = a_stage(double_optin=request.param)
    made.ledger = Dying({SEGMENT: members(a_member(ANN))}, clock=made.clock)
    with pytest.raises(PassingError, match="killed"):
        made.sync()
    return made


def test_who_was_sent_is_known_after_the_next_reading(stage: Stage) -> None:
    assert stage.ledger.push_is_unfinished()
    stage.sync()
    assert not stage.ledger.push_is_unfinished()
    assert stage.ledger.known[ANN_KEY].entity == ("employee", "1")


def test_who_was_sent_and_opted_out_is_unsubscribed_by_the_next_sync(stage: Stage) -> None:
    stage.ledger.said["employee", "1"] = Said(opted_in=False, at=stage.clock())
    report = stage.sync()
    assert report.withdrawn == 1
    assert stage.status(ANN) is MemberStatus.UNSUBSCRIBED


def test_who_was_sent_left_and_opted_out_then_is_unsubscribed_too(stage: Stage) -> None:
    stage.sync()
    stage.ledger.replace_members(SEGMENT, members())
    stage.ledger.said["employee", "1"] = Said(opted_in=False, at=stage.clock())
    assert stage.sync().withdrawn == 1
    assert stage.status(ANN) is MemberStatus.UNSUBSCRIBED


class Counting(FakeAudiences):
    """Counts the members that were looked up one by one."""

    looked_up = 0

    def member_status(self, list_id: str, subscriber_hash: str) -> MemberStatus | None:
        self.looked_up += 1
        return super().member_status(list_id, subscriber_hash)


def sent_unheard(count: int) -> tuple[Stage, Counting]:
    """Return a stage on which so many were sent and subscribed, and every answer was lost."""
    made = a_stage(*people(count))
    made.push()
    counting = Counting(*made.audiences.described(), clock=made.clock)
    return replace(made, audiences=counting, ledger=FakeLedger({SEGMENT: members(*people(count))})), counting


def test_a_batch_that_was_sent_unheard_is_found_among_the_latest_changes() -> None:
    stage, audiences = sent_unheard(600)
    report = stage.push()
    assert (report.wanted, report.changed, report.new) == (600, 600, 0)
    assert audiences.looked_up == 0


def test_who_is_not_among_the_latest_changes_is_looked_up() -> None:
    stage, audiences = sent_unheard(20)
    stage.ledger.finish_reading(stage.clock() + timedelta(days=1))
    assert stage.push().changed == 20
    assert audiences.looked_up == 20


def test_a_few_are_looked_up_without_reading_pages() -> None:
    stage, audiences = sent_unheard(3)
    assert stage.push().changed == 3
    assert audiences.looked_up == 3


def test_who_left_after_an_unheard_batch_is_not_brought_back() -> None:
    stage, audiences = sent_unheard(20)
    audiences.put(LIST, "p7@acme.test", MemberStatus.UNSUBSCRIBED, barred=True)
    report = stage.push()
    assert (report.changed, report.withheld) == (19, {Refusal.UNSUBSCRIBED: 1})
    assert stage.status("p7@acme.test") is MemberStatus.UNSUBSCRIBED
