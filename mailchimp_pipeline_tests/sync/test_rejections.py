"""The rule that decides when a rejected contact is sent again. `test_rejected_contacts` tests it in a sync."""

from datetime import timedelta

import pytest

from mailchimp_pipeline.sync import Rejection, SyncReport
from mailchimp_pipeline.sync.rejections import FINAL, PAUSES, TEXTS, TRANSIENT, TooManyRejected, next_attempt, text
from mailchimp_pipeline_tests.database.builders import AT


@pytest.mark.parametrize("reason", Rejection)
@pytest.mark.parametrize("of_whole_batch", [False, True])
def test_a_contact_is_sent_again_by_its_reason_unless_that_is_final(reason: Rejection, *, of_whole_batch: bool) -> None:
    at = next_attempt(reason, attempts=1, at=AT, of_whole_batch=of_whole_batch)
    is_sent_again = reason not in FINAL and (of_whole_batch or reason in TRANSIENT)
    assert at == (AT + PAUSES[0] if is_sent_again else None)


def test_pauses_grow_to_a_week_and_stay_so() -> None:
    pauses = [(next_attempt(Rejection.OTHER, attempts=count, at=AT) or AT) - AT for count in range(1, 9)]
    assert pauses == sorted(pauses)
    assert pauses[-3:] == [timedelta(days=7)] * 3


def test_every_reason_has_a_text_and_unknown_ones_that_of_other() -> None:
    assert TEXTS.keys() > FINAL | TRANSIENT
    assert text(Rejection.FAKE) != text(Rejection.PENDING) == text(Rejection.OTHER)


def test_a_segment_in_error_says_how_many_were_rejected_and_why() -> None:
    report = SyncReport(wanted=9, unchanged=4, rejected={Rejection.FAKE: 1}, waiting={Rejection.FAKE: 3})
    assert report.rejected_share == pytest.approx(4 / 9)
    assert "rejected 4 of the 9 contacts of segment 'Staff' (4 looks fake); 4 are in" in str(
        TooManyRejected("Staff", report)
    )


def test_without_members_no_contact_is_rejected() -> None:
    assert SyncReport(wanted=0).rejected_share == 0
