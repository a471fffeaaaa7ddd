"""A history in which nothing goes wrong: the oracle finds nothing either."""

from mailchimp_pipeline.segments import OnLeave
from mailchimp_pipeline_tests.consent.company import ADDRESSES, PEOPLE
from mailchimp_pipeline_tests.consent.product import SegmentSpec
from mailchimp_pipeline_tests.consent.scenario import NEWS, STAFF, ConsentScenario
from mailchimp_pipeline_tests.consent.steady_state import reach_steady_state, steady_state_wrongs
from sandbox import Status


def test_a_quiet_history_has_nothing_wrong(scenario: ConsentScenario) -> None:
    for entity, email in zip(PEOPLE, ADDRESSES, strict=False):
        scenario.hire(entity, email)
    scenario.add_segment(SegmentSpec("news", NEWS, on_leave=OnLeave.ARCHIVE))
    scenario.add_segment(SegmentSpec("staff", STAFF))
    for _ in range(4):
        scenario.days_pass()
    assert scenario.status(NEWS, "ann@acme.test") is Status.SUBSCRIBED
    assert scenario.status(STAFF, "ann@acme.test") is Status.PENDING
    scenario.opt_out(PEOPLE[0])
    scenario.at_mailchimp("unsubscribe_by_link", NEWS, "bob@acme.test")
    scenario.company.leave(PEOPLE[2])
    scenario.days_pass()
    reach_steady_state(scenario)
    assert scenario.wrongs == []
    assert list(steady_state_wrongs(scenario)) == []
    assert scenario.status(NEWS, "bob@acme.test") is Status.UNSUBSCRIBED
    assert scenario.status(NEWS, "cat@acme.test") is Status.ARCHIVED
