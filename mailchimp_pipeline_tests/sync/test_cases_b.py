"""Syncing, the cases B1 to B8 and similar ones, each with its outcome in the fewest steps.

All parts are real: PostgreSQL and the sandbox over HTTP; for B6 and B7 also files, the pipeline and Dagster.
"""

# pyright: reportUnknownMemberType=false

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database.connection_store import Account, ConnectionStore
from mailchimp_pipeline.database.segment_member_store import retry_rejected
from mailchimp_pipeline.database.segment_sync_store import past_syncs
from mailchimp_pipeline.database.sync_request_store import SyncRequestStore
from mailchimp_pipeline.defs.assets import AUDIENCE
from mailchimp_pipeline.defs.schedules import daily_sync
from mailchimp_pipeline.defs.sensors import dead_runs, sync_requests
from mailchimp_pipeline.defs.sync_runs import ORGANISATION_TAG, SyncConfig, scheduled_run
from mailchimp_pipeline.segments import Segment, SegmentStatus
from mailchimp_pipeline.sync import Rejection
from mailchimp_pipeline.sync.rejections import PAUSES
from mailchimp_pipeline_tests.database.builders import ACME, AT, KEYRING, a_segment
from mailchimp_pipeline_tests.defs.pipeline_fake import code_location
from mailchimp_pipeline_tests.defs.run_queue import a_queue, finish, queue, run_request, start
from mailchimp_pipeline_tests.runs.company import Company, a_company
from mailchimp_pipeline_tests.source_fake import an_employee
from mailchimp_pipeline_tests.sync.scenario import ANN, BOB, HOUR, LIST, SyncScenario, people
from sandbox import Seed, SignupLimit, SignupLimitKind, Status

FAKE = "ann@example.com"
MINUTE = timedelta(minutes=1)
SPELLED, PLAIN = "info@bücher-werk.test", "info@xn--bcher-werk-9db.test"
PARTNERS = "f6f7f8f9f0"
GLOBEX_KEY = ApiKey.parse("fedcba9876543210fedcba9876543210-us7")


@pytest.fixture
def company(database_url: str, tmp_path: Path) -> Generator[Company]:
    with a_company(database_url, tmp_path / "files") as made:
        yield made


@pytest.fixture
def instance() -> Generator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def queued(tmp_path: Path, empty_database_url: str) -> Generator[dg.DagsterInstance]:
    """Return a Dagster instance with this project's `dagster.yaml`."""
    with a_queue(tmp_path, empty_database_url) as made:
        yield made


# B1: a rejection has a reason, which decides when the contact is sent again.


@pytest.mark.parametrize("kind", SignupLimitKind)
def test_b1_a_burst_of_sign_ups_is_tried_again_after_growing_pauses(
    scenario: SyncScenario, kind: SignupLimitKind
) -> None:
    scenario.set_employees(ANN, *people(4))
    scenario.sandbox.limit_signups(SignupLimit(addresses=frozenset({ANN}), kind=kind))
    assert scenario.sync().rejected == {Rejection.TOO_MANY_SIGNUPS: 1}
    for number, pause in enumerate([*PAUSES, PAUSES[-1]], start=1):
        (rejected,) = scenario.rejected()
        assert (rejected.attempts, rejected.next_attempt_at) == (number, scenario.clock() + pause)
        scenario.clock.advance(pause - HOUR - MINUTE)
        assert scenario.sync().waiting == {Rejection.TOO_MANY_SIGNUPS: 1}
        scenario.clock.advance(MINUTE - HOUR)
        assert scenario.sync().rejected == {Rejection.TOO_MANY_SIGNUPS: 1}
    scenario.sandbox.lift_signup_limits()
    scenario.clock.advance(PAUSES[-1])
    assert (scenario.sync().new, scenario.rejected(), scenario.status(ANN)) == (1, [], Status.SUBSCRIBED)


def test_b1_a_contact_whose_required_field_is_blank_waits_for_another_value(scenario: SyncScenario) -> None:
    scenario.sandbox.require_merge_field(LIST, "LNAME")
    nameless = an_employee(id="10", email=ANN, last_name=None)
    scenario.set_employees(*people(9), nameless)
    report = scenario.sync()
    assert (report.rejected, report.new, scenario.is_synced()) == ({Rejection.MERGE_FIELD: 1}, 9, True)
    assert [each.next_attempt_at for each in scenario.rejected()] == [None]
    scenario.clock.advance(timedelta(days=30))
    assert scenario.sync().waiting == {Rejection.MERGE_FIELD: 1}
    scenario.set_employees(*people(9), {**nameless, "last_name": "Lee"})
    assert (scenario.sync().new, scenario.rejected()) == (1, [])


def test_b1_a_contact_is_sent_again_when_the_merge_fields_of_the_audience_change(scenario: SyncScenario) -> None:
    scenario.sandbox.add_merge_field(LIST, "BADGE", required=True)
    scenario.set_employees(ANN)
    scenario.sync()
    assert scenario.sync().waiting == {Rejection.MERGE_FIELD: 1}
    scenario.sandbox.remove_merge_field(LIST, "BADGE")
    assert scenario.sync().new == 1


def test_b1_a_fake_address_is_sent_again_only_when_somebody_asks_for_it(scenario: SyncScenario) -> None:
    scenario.set_employees(FAKE, *people(4))
    assert scenario.sync().rejected == {Rejection.FAKE: 1}
    scenario.clock.advance(timedelta(days=30))
    scenario.sandbox.add_merge_field(LIST, "BADGE")
    scenario.set_employees(an_employee(email=FAKE, last_name="King"), *people(5)[1:])
    assert scenario.sync().waiting == {Rejection.FAKE: 1}
    scenario.sandbox.configure(fake_domains=frozenset[str]())
    assert scenario.sync().waiting == {Rejection.FAKE: 1}
    with scenario.database.organisation(scenario.organisation_id) as session:
        assert retry_rejected(session, scenario.segment.id, by="alice", at=scenario.clock()) == 1
    assert (scenario.sync().new, scenario.rejected()) == (1, [])


def test_b1_both_texts_of_one_batch_are_the_same_reason_and_both_contacts_arrive_a_day_later(
    scenario: SyncScenario,
) -> None:
    scenario.set_employees(ANN, BOB, *people(8))
    for email, kind in ((ANN, SignupLimitKind.MANY_LISTS), (BOB, SignupLimitKind.MANY_REQUESTS)):
        scenario.sandbox.limit_signups(SignupLimit(addresses=frozenset({email}), kind=kind, seconds=2 * HOUR.seconds))
    assert scenario.sync().rejected == {Rejection.TOO_MANY_SIGNUPS: 2}
    scenario.clock.advance(timedelta(days=1))
    report = scenario.sync()
    assert (report.new, report.in_audience, scenario.rejected()) == (2, 10, [])


def test_b1_a_rejected_contact_is_sent_again_at_once_when_the_contact_changes(scenario: SyncScenario) -> None:
    scenario.sandbox.require_merge_field(LIST, "LNAME")
    scenario.set_employees(an_employee(email=ANN, last_name=None), an_employee(id="2", email=BOB))
    assert scenario.sync().rejected == {Rejection.MERGE_FIELD: 1}
    scenario.set_employees(an_employee(email=ANN, last_name="Lee"), an_employee(id="2", email=BOB))
    assert (scenario.sync().in_audience, scenario.rejected()) == (2, [])


# B2: a segment with missing members is not plainly synced.


def test_b2_a_rejected_batch_is_an_error_and_is_tried_again(scenario: SyncScenario) -> None:
    scenario.sandbox.add_merge_field(LIST, "BADGE", required=True)
    scenario.set_employees(*people(4))
    result = scenario.result()
    assert "rejected 4 of the 4 contacts of segment 'Everybody' (4 merge field); 0 are in" in (result.error or "")
    assert (scenario.stored().status, scenario.stored().last_error) == (SegmentStatus.ERROR, result.error)
    assert {each.next_attempt_at for each in scenario.rejected()} == {scenario.clock() + HOUR}
    # No longer required, which does not change the merge fields' tags.
    scenario.sandbox.require_merge_field(LIST, "BADGE", required=False)
    assert (scenario.sync().in_audience, scenario.is_synced()) == (4, True)


def test_b2_a_segment_says_how_many_of_its_members_are_in_the_audience(scenario: SyncScenario) -> None:
    scenario.set_employees(FAKE, *people(4))
    scenario.add_member("p1@acme.test", Status.CLEANED)
    report = scenario.sync()
    assert (report.in_audience, report.wanted, report.rejected_share, scenario.is_synced()) == (3, 5, 0.2, True)
    stored = scenario.stored().last_report or {}
    counts = {name: stored[name] for name in ("wanted", "in_audience", "rejected", "waiting", "withheld")}
    assert counts == {
        "wanted": 5,
        "in_audience": 3,
        "rejected": {"looks_fake": 1},
        "waiting": {},
        "withheld": {"cleaned_at_mailchimp": 1},
    }


def test_b2_above_the_share_a_segment_is_in_error_also_while_the_contacts_wait(scenario: SyncScenario) -> None:
    scenario.set_employees(FAKE, "bob@example.com", *people(7))
    for _ in range(2):
        assert "rejected 2 of the 9 contacts" in (scenario.result().error or "")
        assert (scenario.stored().last_report or {})["in_audience"] == 7
    scenario.set_employees(*people(8))
    assert (scenario.sync().in_audience, scenario.is_synced()) == (8, True)


def test_b2_a_batch_that_mailchimp_rejects_once_arrives_with_a_later_sync(scenario: SyncScenario) -> None:
    scenario.set_employees(*people(4))
    scenario.sandbox.limit_signups(SignupLimit(tries=1))
    result = scenario.result()
    assert "rejected 4 of the 4 contacts" in (result.error or "")
    assert (scenario.stored().status, len(scenario.rejected())) == (SegmentStatus.ERROR, 4)
    scenario.clock.advance(timedelta(days=1))
    assert (scenario.sync().in_audience, scenario.is_synced(), scenario.rejected()) == (4, True, [])


# B3: the sent values depend on the audience's merge fields.


def test_b3_a_merge_field_that_the_audience_gets_later_is_filled_by_the_next_sync(scenario: SyncScenario) -> None:
    scenario.sandbox.remove_merge_field(LIST, "LNAME")
    scenario.set_employees(ANN, an_employee(id="2", email=BOB, last_name=None))
    assert (scenario.sync().new, scenario.sync().unchanged) == (2, 2)
    scenario.sandbox.add_merge_field(LIST, "LNAME")
    report = scenario.sync()
    assert (report.changed, report.unchanged, scenario.fields(ANN)) == (2, 0, ("Ada", "Byron"))
    assert scenario.sync().unchanged == 2


def test_b3_a_merge_field_that_is_taken_away_stops_no_sync_and_is_filled_when_it_comes_back(
    scenario: SyncScenario,
) -> None:
    scenario.set_employees(ANN, *people(11))
    scenario.sync()
    scenario.sandbox.remove_merge_field(LIST, "LNAME")
    assert (scenario.sync().in_audience, scenario.is_synced()) == (12, True)
    scenario.sandbox.add_merge_field(LIST, "LNAME")
    assert (scenario.sync().changed, scenario.fields(ANN)) == (12, ("Ada", "Byron"))
    assert scenario.sync().unchanged == 12


def test_b3_a_merge_field_that_was_made_anew_between_two_syncs_is_filled_by_the_next_one(
    scenario: SyncScenario,
) -> None:
    scenario.set_employees(ANN, *people(11))
    scenario.sync()
    scenario.sandbox.remove_merge_field(LIST, "LNAME")
    scenario.sandbox.add_merge_field(LIST, "LNAME")
    assert scenario.fields(ANN)[1] in ("", None)
    scenario.sync()
    assert scenario.fields(ANN) == ("Ada", "Byron")
    assert scenario.sync().unchanged == 12


# B4: a missing value is not sent.


def test_b4_a_missing_name_leaves_the_one_at_mailchimp(scenario: SyncScenario) -> None:
    scenario.add_member(ANN, FNAME="Grete", LNAME="Blom")
    scenario.set_employees(an_employee(email=ANN, first_name=None, last_name="Blom-Lee"))
    assert scenario.sync().changed == 1
    assert scenario.fields(ANN) == ("Grete", "Blom-Lee")
    assert scenario.sync().unchanged == 1


@pytest.mark.parametrize("nameless", [None, "", " \t", "\u00a0\u200b"])
@pytest.mark.parametrize("count", [1, 12])
def test_b4_no_name_is_overwritten_by_a_blank_one(scenario: SyncScenario, nameless: str | None, count: int) -> None:
    emails = people(count)
    for email in emails:
        scenario.add_member(email, FNAME="Grete", LNAME="Blom")
    scenario.set_employees(*emails, first_name=nameless, last_name=nameless)
    assert scenario.sync().in_audience == count
    assert {scenario.fields(email) for email in emails} == {("Grete", "Blom")}


def test_b4_a_name_that_hr_loses_stays_at_mailchimp_wherever_the_member_goes(scenario: SyncScenario) -> None:
    scenario.archive_on_leave()
    scenario.set_employees(ANN, BOB)
    scenario.sync()
    nameless = {"first_name": None, "last_name": None}
    scenario.set_employees(an_employee(email="ann@new.test", **nameless), BOB)
    assert (scenario.sync().moved, scenario.fields("ann@new.test")) == (1, ("Ada", "Byron"))
    scenario.set_employees(an_employee(id="2", email=BOB))
    scenario.sync()
    scenario.set_employees(an_employee(email="ann@new.test", **nameless), BOB)
    scenario.sync()
    assert (scenario.status("ann@new.test"), scenario.fields("ann@new.test")) == (Status.SUBSCRIBED, ("Ada", "Byron"))


# B5: one contact is one member for any spelling of its domain.


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize("there", [SPELLED, PLAIN])
@pytest.mark.parametrize("here", [SPELLED, PLAIN])
def test_b5_an_international_domain_is_one_member_however_either_side_spells_it(
    scenario: SyncScenario, here: str, there: str, count: int
) -> None:
    emails = [f"{number}{there}" for number in range(count)]
    for email in emails:
        scenario.add_member(email)
    scenario.set_employees(*(f"{number}{here}" for number in range(count)))
    report = scenario.sync()
    assert (report.changed, report.new, scenario.sync().unchanged) == (count, 0, count)
    assert [scenario.fields(email) for email in emails] == [("Ada", "Byron")] * count
    scenario.state_preference("1", opted_in=False)
    scenario.sync()
    assert scenario.status(emails[0]) is Status.UNSUBSCRIBED
    assert len(scenario.sandbox.members(LIST)) == count


BOTH = pytest.mark.parametrize("there", [SPELLED, PLAIN])
EITHER = pytest.mark.parametrize("here", [SPELLED, PLAIN, SPELLED.upper()])


@BOTH
@EITHER
@pytest.mark.parametrize("leave", ["unsubscribe_by_link", "unsubscribe_as_admin", "complain"])
def test_b5_an_unsubscribe_under_one_spelling_counts_under_all(
    scenario: SyncScenario, here: str, there: str, leave: str
) -> None:
    scenario.sandbox.add_audience(scenario.account_id, "Partners", PARTNERS)
    scenario.add_member(there)
    getattr(scenario.sandbox, leave)(LIST, there)
    scenario.set_employees(here)
    results = scenario.results(scenario.segment, scenario.add_segment(PARTNERS))
    assert [result.error for result in results.values()] == [None, None]
    assert [len(scenario.sandbox.members(list_id)) for list_id in (LIST, PARTNERS)] == [1, 0]
    assert scenario.status(there) is not Status.SUBSCRIBED


@BOTH
@EITHER
@pytest.mark.parametrize("is_synced", [True, False])
def test_b5_an_erasure_deletes_the_member_in_whatever_spelling(
    scenario: SyncScenario, here: str, there: str, *, is_synced: bool
) -> None:
    scenario.add_member(there)
    scenario.set_employees(here)
    if is_synced:
        scenario.sync()
    scenario.erase("1")
    assert scenario.sandbox.members(LIST) == []
    assert scenario.sandbox.is_forgotten(LIST, there)
    scenario.sync()
    assert scenario.sandbox.members(LIST) == []


@BOTH
def test_b5_an_erasure_reaches_an_audience_that_no_segment_feeds(scenario: SyncScenario, there: str) -> None:
    scenario.sandbox.add_audience(scenario.account_id, "Partners", PARTNERS)
    scenario.sandbox.add_members(PARTNERS, [Seed(email_address=there)])
    scenario.set_employees(SPELLED)
    scenario.sync()
    scenario.erase("1")
    assert (scenario.sandbox.members(LIST), scenario.sandbox.members(PARTNERS)) == ([], [])


def test_b5_an_erased_contact_with_another_spelling_is_erased_again(scenario: SyncScenario) -> None:
    scenario.set_employees(PLAIN)
    scenario.sync()
    scenario.erase("1")
    scenario.set_employees(an_employee(id="2", email=BOB))
    scenario.add_member(SPELLED)
    scenario.erase("1")
    assert scenario.sandbox.members(LIST) == []


@BOTH
def test_b5_another_spelling_in_hr_is_no_change_of_the_address(scenario: SyncScenario, there: str) -> None:
    scenario.add_member(there)
    for here in (SPELLED, PLAIN, SPELLED.upper(), "info@bu\u0308cher-werk.test"):
        scenario.set_employees(here)
        report = scenario.sync()
        assert (report.moved, report.new, report.in_audience) == (0, 0, 1)
    assert len(scenario.sandbox.members(LIST)) == 1


@BOTH
def test_b5_a_move_to_or_from_an_international_domain_keeps_one_member(scenario: SyncScenario, there: str) -> None:
    scenario.add_member(there)
    scenario.set_employees(SPELLED)
    scenario.sync()
    scenario.set_employees(ANN)
    assert (scenario.sync().moved, scenario.status(ANN), scenario.status(there)) == (1, Status.SUBSCRIBED, None)
    scenario.set_employees(SPELLED)
    assert scenario.sync().moved == 1
    assert len(scenario.sandbox.members(LIST)) == 1


@pytest.mark.parametrize("spellings", [(SPELLED, PLAIN), (PLAIN, SPELLED)])
@pytest.mark.parametrize("is_synced", [True, False])
def test_b5_of_two_members_with_two_spellings_of_one_address_an_erasure_deletes_both(
    scenario: SyncScenario, spellings: tuple[str, str], *, is_synced: bool
) -> None:
    for email in spellings:
        scenario.add_member(email)
    scenario.set_employees(SPELLED)
    if is_synced:
        scenario.sync()
        scenario.set_employees(BOB)
    scenario.erase("1")
    assert scenario.sandbox.members(LIST) == []


# B6: an organisation that disconnects does not fail the run of another.


def connect_globex(company: Company) -> Segment:
    """Connect a second organisation with one employee and one segment, and return the segment."""
    account_id = company.sandbox.add_account(GLOBEX_KEY.reveal())
    company.sandbox.add_audience(account_id, "Partners", PARTNERS)
    database = company.pipeline.resources.database
    with database.organisation("globex") as session:
        account = Account(account_id, "Globex", GLOBEX_KEY)
        ConnectionStore(session, company.pipeline.resources.keyring).connect(account, by="bob", at=AT)
    company.set_employees(an_employee(email=ANN), an_employee(organisation_id="globex", email="gus@globex.test"))
    return a_segment(database, "globex", list_id=PARTNERS)


def tick(instance: dg.DagsterInstance, company: Company) -> list[dg.RunRequest]:
    """Run a tick of the request sensor and return its run requests."""
    with dg.build_sensor_context(instance=instance, resources={"pipeline": company.pipeline}) as context:
        asked = sync_requests(context)
    assert isinstance(asked, dg.SensorResult)
    for change in asked.dynamic_partitions_requests or ():
        keys = list(change.partition_keys)
        if isinstance(change, dg.AddDynamicPartitionsRequest):
            instance.add_dynamic_partitions("segments", keys)
        else:
            for key in keys:
                instance.delete_dynamic_partition("segments", key)
    return list(asked.run_requests or ())


def test_b6_an_organisation_that_leaves_fails_no_other_when_dagster_retries_their_daily_run(
    company: Company, instance: dg.DagsterInstance
) -> None:
    globex, resources = connect_globex(company), {"pipeline": company.pipeline}
    tick(instance, company)
    with dg.build_schedule_context(instance, scheduled_execution_time=AT, resources=resources) as context:
        [request] = list(daily_sync.evaluate_tick(context).run_requests or [])
    job = code_location(company.pipeline).resolve_job_def("mailchimp_scheduled_sync")
    died = instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags=request.tags, run_config=request.run_config
    )
    for _ in range(2):
        with dg.build_sensor_context(instance=instance, cursor=died.run_id, resources=resources) as context:
            dead_runs(context)
    with company.pipeline.resources.database.organisation("globex") as session:
        ConnectionStore(session, company.pipeline.resources.keyring).disconnect(by="bob", at=AT)
    tick(instance, company)
    assert instance.get_dynamic_partitions("segments") == [company.segment.partition_key]
    assert [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))] == [
        died.run_id
    ]

    retried = job.execute_in_process(
        instance=instance, run_config=died.run_config, tags={**died.tags, "dagster/parent_run_id": died.run_id}
    )
    assert retried.success
    assert (company.stored_segment().status, company.stored_segment().member_count) == (SegmentStatus.SYNCED, 1)
    assert company.sandbox.statuses(LIST) == {Status.SUBSCRIBED: 1}
    assert company.sandbox.members(globex.mailchimp_list_id) == []
    assert instance.get_materialized_partitions(AUDIENCE) == {company.segment.partition_key}
    with company.pipeline.resources.database.organisation(ACME) as session:
        (synced,) = past_syncs(session, company.segment.id, limit=9).items
    assert (synced.trigger, synced.run_id, synced.error) == ("schedule", retried.run_id, None)


# B7: requests precede daily runs, and organisations take turns.


def test_b7_a_request_does_not_wait_for_the_daily_runs(queued: dg.DagsterInstance) -> None:
    daily = queue(queued, *(scheduled_run(str(number), []) for number in range(6)))
    assert start(queued) == daily[:3]
    (asked,) = queue(queued, run_request("acme"))
    assert start(queued) == [asked]
    finish(queued, asked)
    assert start(queued) == []
    finish(queued, daily[0])
    (asked,) = queue(queued, run_request("globex"))
    assert start(queued) == [asked, daily[3]]


def test_b7_an_organisation_does_not_wait_behind_the_requests_of_another(queued: dg.DagsterInstance) -> None:
    acme = queue(queued, *(run_request("acme", number) for number in range(25)))
    (globex,) = queue(queued, run_request("globex"))
    assert start(queued) == [acme[0], globex]
    finish(queued, acme[0])
    assert start(queued) == [acme[1]]


def test_b7_twenty_five_requests_of_one_organisation_are_one_run_beside_that_of_another(
    company: Company, queued: dg.DagsterInstance
) -> None:
    globex, database = connect_globex(company), company.pipeline.resources.database
    ours = [a_segment(database, name=f"Segment {number}") for number in range(25)]
    for segment in [*ours, globex]:
        with database.organisation(segment.organisation_id) as session:
            assert SyncRequestStore(session).ask(segment.id, by="alice", at=AT)
    daily = queue(queued, *(scheduled_run(str(number), []) for number in range(6)))
    assert start(queued) == daily[:3]
    acme, other = asked = sorted(tick(queued, company), key=lambda each: each.tags[ORGANISATION_TAG])
    segments = [SyncConfig(**each.run_config["ops"]["sync_segments"]["config"]).segments for each in asked]
    assert [sorted(keys) for keys in segments] == [sorted(each.partition_key for each in ours), [globex.partition_key]]
    first, second = queue(queued, acme, other)
    assert start(queued) == [first]
    finish(queued, daily[0])
    assert start(queued) == [second]


# B8: suppressed members do not count as departures.


def test_b8_opt_outs_and_erasures_are_no_departures(scenario: SyncScenario) -> None:
    scenario.set_employees(*people(5))
    scenario.sync()
    scenario.state_preference("1", opted_in=False)
    scenario.sandbox.unsubscribe_by_link(LIST, "p2@acme.test")
    scenario.sandbox.complain(LIST, "p3@acme.test")
    scenario.erase("4")
    result = scenario.result(confirmed=False)
    assert (result.error, scenario.members()) == (None, ["p5@acme.test"])
    assert result.figures()["excluded"] == {"erased": 1, "opted_out": 3}


@pytest.mark.parametrize("act", ["opt out", "unsubscribe", "complain", "erase"])
def test_b8_three_suppressed_members_of_five_stop_no_segment(scenario: SyncScenario, act: str) -> None:
    scenario.archive_on_leave()
    scenario.set_employees(*people(5))
    scenario.sync()
    for number in ("1", "2", "3"):
        email = f"p{number}@acme.test"
        match act:
            case "opt out":
                scenario.state_preference(number, opted_in=False)
            case "unsubscribe":
                scenario.sandbox.unsubscribe_by_link(LIST, email)
            case "complain":
                scenario.sandbox.complain(LIST, email)
            case _:
                scenario.erase(number)
    result = scenario.result(confirmed=False)
    assert (result.error, scenario.members()) == (None, ["p4@acme.test", "p5@acme.test"])


def test_b8_members_without_consent_are_no_departures_when_consent_becomes_required(
    scenario: SyncScenario,
) -> None:
    scenario.set_employees(*people(5))
    scenario.sync()
    scenario.state_preference("5", opted_in=True)
    with scenario.database.organisation(scenario.organisation_id) as session:
        ConnectionStore(session, KEYRING).set_opt_in_only(opt_in_only=True, by="alice", at=scenario.clock())
    result = scenario.result(confirmed=False)
    assert (result.error, scenario.members()) == (None, ["p5@acme.test"])


def test_b8_opt_outs_hide_no_departures(scenario: SyncScenario) -> None:
    scenario.set_employees(*people(10))
    scenario.sync()
    for number in range(1, 5):
        scenario.state_preference(str(number), opted_in=False)
    # Four of the six others disappear from the source at once.
    scenario.set_employees(*people(6))
    result = scenario.result(confirmed=False)
    assert "4 of the 6 members" in (result.error or "")
    assert scenario.sandbox.statuses(LIST) == {Status.SUBSCRIBED: 6, Status.UNSUBSCRIBED: 4}


def test_b8_an_export_that_lost_its_addresses_is_a_departure(scenario: SyncScenario) -> None:
    scenario.set_employees(*people(5))
    scenario.sync()
    scenario.set_employees(*people(2), *(an_employee(id=str(number), email=None) for number in (3, 4, 5)))
    assert "3 of the 5 members" in (scenario.result(confirmed=False).error or "")
    assert scenario.sandbox.statuses(LIST) == {Status.SUBSCRIBED: 5}
