"""A process that dies between what Mailchimp did and what we write down, and what its contacts say meanwhile."""

from collections.abc import Sequence

import pandas as pd
import pytest

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.errors import PassingError
from mailchimp_pipeline.sync import MemberOutcome, MemberStatus
from mailchimp_pipeline_tests.database.builders import a_member, members
from mailchimp_pipeline_tests.ledger_fake import FakeLedger, Said
from mailchimp_pipeline_tests.sync.stage import ANN, SEGMENT, Stage, a_stage

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
