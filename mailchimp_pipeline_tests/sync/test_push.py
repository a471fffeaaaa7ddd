"""What a push sends to an audience, and the results."""

from mailchimp_pipeline.sync import Rejection
from mailchimp_pipeline_tests.source_fake import an_employee
from mailchimp_pipeline_tests.sync.scenario import ANN, BATCH, BOB, LIST, MEMBER, SyncScenario, people
from sandbox import CallStarted, Fault, FaultKind, Status


def test_a_new_contact_is_subscribed_once(scenario: SyncScenario) -> None:
    scenario.set_employees(ANN, BOB)
    first, second = scenario.sync(), scenario.sync()
    assert (first.new, first.wanted, first.calls, first.in_audience) == (2, 2, 1, 2)
    assert (second.unchanged, second.wanted, second.calls, second.in_audience) == (2, 2, 0, 2)
    assert (scenario.status(ANN), scenario.calls("POST", BATCH)) == (Status.SUBSCRIBED, 1)


def test_few_changed_members_are_changed_one_by_one_without_a_status(scenario: SyncScenario) -> None:
    scenario.set_employees(ANN, BOB)
    scenario.sync()
    scenario.set_employees(an_employee(email=ANN, last_name="King"), BOB)
    scenario.sandbox.keep_journal()
    report = scenario.sync()
    assert (report.changed, report.unchanged, report.new) == (1, 1, 0)
    assert scenario.fields(ANN) == ("Ada", "King")
    sent = [entry for entry in scenario.sandbox.journal() if isinstance(entry, CallStarted) and entry.members]
    assert [(call.method, member.status) for call in sent for member in call.members] == [("PATCH", None)]


def test_many_changed_members_go_in_one_batch(scenario: SyncScenario) -> None:
    scenario.set_employees(*people(11))
    scenario.sync()
    scenario.set_employees(*people(11), last_name="King")
    assert scenario.sync().changed == 11
    assert (scenario.calls("POST", BATCH), scenario.calls("PATCH", MEMBER)) == (2, 0)
    assert scenario.fields("p7@acme.test") == ("Ada", "King")


def test_an_audience_with_double_opt_in_asks_the_contact_first(scenario: SyncScenario) -> None:
    scenario.enable_double_opt_in()
    scenario.set_employees(ANN)
    first, second = scenario.sync(), scenario.sync()
    assert (first.new, first.in_audience, first.awaiting_confirmation) == (1, 0, 1)
    assert (second.withheld, second.awaiting_confirmation) == ({Rejection.PENDING: 1}, 1)
    assert scenario.status(ANN) is Status.PENDING
    scenario.sandbox.confirm(LIST, ANN)
    assert (scenario.sync().in_audience, scenario.calls("POST", BATCH)) == (1, 1)


def test_a_member_of_any_other_status_is_never_sent(scenario: SyncScenario) -> None:
    others = {status: f"{status}@acme.test" for status in Status if status is not Status.SUBSCRIBED}
    for status, email in others.items():
        scenario.add_member(email, status)
    scenario.set_employees(BOB, *others.values())
    report = scenario.sync()
    assert scenario.sandbox.sent(LIST).keys() == {scenario.sandbox.members(LIST)[-1].id}
    assert {status: scenario.status(email) for status, email in others.items()} == {status: status for status in others}
    # An unsubscribed contact may not be e-mailed, so it is not a member of the segment.
    assert report.withheld == {
        Rejection.CLEANED: 1,
        Rejection.ARCHIVED: 1,
        Rejection.PENDING: 1,
        Rejection.TRANSACTIONAL: 1,
    }
    assert (report.new, report.wanted) == (1, 5)


def test_a_large_segment_goes_in_batches_that_fit_one_call(scenario: SyncScenario) -> None:
    scenario.set_employees(*people(1203))
    report = scenario.sync()
    assert (report.new, report.calls, scenario.calls("POST", BATCH)) == (1203, 3, 3)
    assert scenario.sandbox.statuses(LIST) == {Status.SUBSCRIBED: 1203}


def test_after_a_failure_calls_in_progress_are_recorded(scenario: SyncScenario) -> None:
    scenario.set_employees(*people(2000))
    scenario.sandbox.add_fault(Fault(kind=FaultKind.UNAVAILABLE, method="POST", skip=1, times=1))
    assert "Mailchimp" in (scenario.result().error or "")
    written = len(scenario.sandbox.members(LIST))
    assert 0 < written < 2000
    report = scenario.sync()
    assert (report.new, report.unchanged) == (2000 - written, written)
    assert set(scenario.sandbox.carried_out(LIST).values()) == {1}


def test_after_a_failure_no_call_starts(scenario: SyncScenario) -> None:
    scenario.set_employees(*people(500 * 25))
    scenario.sandbox.add_fault(Fault(kind=FaultKind.UNAVAILABLE, method="POST"))
    assert scenario.result().error
    assert 0 < scenario.calls("POST", BATCH) < 25


def test_a_contact_that_two_segments_share_is_sent_once(scenario: SyncScenario) -> None:
    other = scenario.add_segment()
    scenario.set_employees(ANN)
    reports = [result.report for result in scenario.results(scenario.segment, other).values()]
    assert sorted((report.new, report.unchanged) for report in reports if report) == [(0, 1), (1, 0)]
    assert scenario.sandbox.times_sent(LIST, ANN) == 1


SPELLED, PLAIN = "info@bücher-werk.test", "info@xn--bcher-werk-9db.test"
