"""Revision 0006 on the rows of 0005: no contact becomes mailable, the migration can be repeated and reverted."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from alembic import command
from psycopg import sql
from sqlalchemy import text

from mailchimp_pipeline.consent.decision import EXCLUSION, WITHDRAWALS_OF_CONTACT
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database import migrations as package
from mailchimp_pipeline.database.bulk import text_array
from mailchimp_pipeline.database.encryption import keyed_hashes
from mailchimp_pipeline.database.erased_contacts import ErasedAmong, ErasedContacts
from mailchimp_pipeline.database.migrations import migrate, migrations
from mailchimp_pipeline.database.session import Database, driver_connection
from mailchimp_pipeline_tests.database.builders import ACME, AT, KEYRING, LIST
from mailchimp_pipeline_tests.database.consent_scenario import ANN, OTHER_LIST

BEFORE, AFTER = "0005", "0006"
HOUR = timedelta(hours=1)
STEPS = (Path(package.__file__).parent / "versions" / "0006_consent_statements.sql").read_text().split("-- next step")


@dataclass(frozen=True)
class Case:
    """A contact in version 0005: its preference, its member in the audience, and its audit log."""

    opted_in: bool | None
    """None for a contact without a preference, else the preference at `AT`."""
    opposite: timedelta | None
    """The time of the opposite preference, after `AT`."""
    source: str
    has_address: bool
    member: str | None
    """The member's status, None without a member."""
    member_is_known: bool
    """Whether the member is linked to the contact."""
    member_changed: timedelta | None
    """The time of the member's last change, after `AT`. None if unknown."""
    audited: tuple[bool, ...]
    """The opt-ins and opt-outs in the audit log, an hour apart, the last at `AT` by our clock."""

    def times(self) -> tuple[datetime | None, datetime | None]:
        """Return the times of the contact's last opt-in and opt-out."""
        opposite = None if self.opposite is None else AT + self.opposite
        return (AT, opposite) if self.opted_in else (opposite, AT)


def cases() -> list[Case]:
    """Return the cases possible in version 0005: all combinations of preference, member and audit log."""
    nothing_said = Case(
        None, None, "letter", has_address=True, member=None, member_is_known=True, member_changed=None, audited=()
    )
    said = [
        replace(nothing_said, opted_in=opted_in, opposite=opposite, source=source, has_address=has_address)
        for opted_in, opposite, source, has_address in product(
            (True, False), (None, -HOUR, HOUR), ("letter", "mailchimp", "deleted_at_mailchimp"), (True, False)
        )
    ]
    members = [("subscribed", True, -HOUR), ("archived", True, HOUR), (None, True, None)]
    members += [("unsubscribed", is_known, at) for is_known in (True, False) for at in (-HOUR, 0 * HOUR, HOUR, None)]
    audits: list[tuple[bool, ...]] = [(), (True,), (False,), (True, False), (False, True), (True, False, True)]
    return [
        replace(case, member=status, member_is_known=is_known, member_changed=changed, audited=audited)
        for case, (status, is_known, changed), audited in product([nothing_said, *said], members, audits)
    ]


CASES = cases()


@pytest.fixture
def old(empty_database_url: str) -> Generator[Database]:
    """Return a database of version 0005 with a contact for each case, numbered by position."""
    migrate(empty_database_url, BEFORE)
    with Database(empty_database_url) as database:
        with database.unrestricted() as connection, connection.begin():
            connection.execute(
                _PREFERENCE, [_preference(*each) for each in enumerate(CASES) if each[1].opted_in is not None]
            )
            connection.execute(_MEMBER, [_member(*each) for each in enumerate(CASES) if each[1].member])
            connection.execute(_ENTRY, [entry for each in enumerate(CASES) for entry in _entries(*each)])
        yield database


_PREFERENCE = text("""
insert into email_preferences (organisation_id, entity_type, entity_id, subscriber_hash, opted_in, consent_given_at,
    consent_withdrawn_at, consent_source, updated_at)
values (:organisation_id, 'employee', :id, :hash, :opted_in, :given_at, :withdrawn_at, :source, :at)
""")
_MEMBER = text("""
insert into audience_members (organisation_id, mailchimp_list_id, subscriber_hash, entity_type, entity_id, state,
    status, changed_at)
values (:organisation_id, :list_id, :hash, :type, :id, 'seen', :status, :changed_at)
""")
_ENTRY = text("""
insert into audit_log (organisation_id, actor, action, entity_type, entity_id, at)
values (:organisation_id, 'alice', :action, 'employee', :id, :at)
""")


def address(place: int) -> str:
    return f"{place:032x}"


def _preference(place: int, case: Case) -> dict[str, object]:
    given_at, withdrawn_at = case.times()
    return {
        "organisation_id": ACME,
        "id": str(place),
        "hash": address(place) if case.has_address else None,
        "opted_in": case.opted_in,
        "given_at": given_at,
        "withdrawn_at": withdrawn_at,
        "source": case.source,
        "at": AT + HOUR / 60,
    }


def _member(place: int, case: Case) -> dict[str, object]:
    return {
        "organisation_id": ACME,
        "list_id": LIST,
        "hash": address(place),
        "type": "employee" if case.member_is_known else None,
        "id": str(place) if case.member_is_known else None,
        "status": case.member,
        "changed_at": None if case.member_changed is None else AT + case.member_changed,
    }


def _entries(place: int, case: Case) -> list[dict[str, object]]:
    actions = ["preference.opted_in" if opted_in else "preference.opted_out" for opted_in in case.audited]
    return [
        {"organisation_id": ACME, "id": str(place), "action": action, "at": AT - HOUR * age}
        for age, action in enumerate(reversed(actions))
    ]


def once(url: str) -> None:
    migrate(url)


def twice(url: str) -> None:
    migrate(url)
    with Database(url) as database, database.unrestricted() as connection, connection.begin():
        connection.execute(text("update mailchimp_pipeline_revision set version_num = :before"), {"before": BEFORE})
    migrate(url)


def there_and_back(url: str) -> None:
    migrate(url)
    with Database(url) as database, database.unrestricted() as connection:
        command.downgrade(migrations(connection), BEFORE)
    migrate(url)


def interrupted_after(steps: int) -> Callable[[str], None]:
    def interrupted(url: str) -> None:
        with Database(url) as database, database.unrestricted() as connection:
            for step in STEPS[:steps]:
                connection.execution_options(no_parameters=True).exec_driver_sql(step)
                connection.commit()
        migrate(url)

    return interrupted


WAYS = {"once": once, "twice": twice, "there and back": there_and_back} | {
    f"interrupted after step {steps}": interrupted_after(steps) for steps in range(1, len(STEPS) + 1)
}


def exclusions(database: Database, people: Sequence[tuple[str, str]]) -> list[str | None]:
    """Return each employee's reason for exclusion, by id and address. No contact is erased."""
    query = sql.SQL(
        f"select {EXCLUSION} from unnest(%(ids)s::text[], %(hashes)s::text[]) with ordinality"  # noqa: S608 - constants
        " as given (entity_id, subscriber_hash, place) cross join lateral"
        " (select 'employee' as entity_type, given.entity_id, given.subscriber_hash) as about order by place"
    )
    arrays = {"ids": text_array(one for one, _ in people), "hashes": text_array(key for _, key in people)}
    with database.organisation(ACME) as session:
        parameters = {"organisation_id": ACME, **arrays, **ErasedAmong().parameters()}
        rows = driver_connection(session).execute(query, parameters).fetchall()
    return [None if reason is None else str(reason) for (reason,) in rows]


@pytest.mark.parametrize("way", WAYS)
def test_the_upgrade_makes_no_contact_mailable_and_keeps_opt_ins(
    old: Database, empty_database_url: str, way: str
) -> None:
    WAYS[way](empty_database_url)
    own = exclusions(old, [(str(place), address(place)) for place in range(len(CASES))])
    elsewhere = exclusions(old, [(str(place), "0" * 32) for place in range(len(CASES))])
    others = exclusions(old, [("somebody", address(place)) for place in range(len(CASES))])
    every = list(zip(CASES, own, elsewhere, others, strict=True))

    out = [found for found in every if found[0].opted_in is False]
    assert {(at_own, at_other) for _, at_own, at_other, _ in out} == {("opted_out", "opted_out")}
    # As before, the address of a contact who opted out belongs to no other contact.
    assert {anybody for case, *_, anybody in out if case.has_address} == {"opted_out"}
    # A contact who left an audience withdrew consent for all, unless the contact opted in since.
    left = [found for found in every if found[0].member == "unsubscribed" and found[0].opted_in is None]
    assert {(at_own, anybody) for _, at_own, _, anybody in left} == {("opted_out", "opted_out")}
    stay = [found for found in every if found[0].opted_in and found[0].member != "unsubscribed"]
    assert {tuple(reasons) for _, *reasons in stay} == {(None, None, None)}
    silent = [found for found in every if found[0].opted_in is None and found[0].member != "unsubscribed"]
    assert {tuple(reasons) for _, *reasons in silent} == {(None, None, None)}


@pytest.mark.parametrize("way", ["once", "there and back"])
def test_a_preference_says_what_its_statements_amount_to(old: Database, empty_database_url: str, way: str) -> None:
    WAYS[way](empty_database_url)
    query = sql.SQL(
        f"select entity_id, opted_in, not exists ({WITHDRAWALS_OF_CONTACT}), statement_id"  # noqa: S608 - constants
        " from email_preferences as about"
    )
    with old.organisation(ACME) as session:
        found = driver_connection(session).execute(query, {"organisation_id": ACME}).fetchall()
        recorded = session.scalars(text("select count(*) from consent_statements group by entity_id, subscriber_hash"))
        assert max(recorded) <= max(len(case.audited) for case in CASES) + 3
    assert len(found) == sum(case.opted_in is not None for case in CASES)
    differ = {CASES[int(str(place))] for place, opted_in, amounts_to, _ in found if opted_in != amounts_to}
    # The member left after its contact opted in here, so the address stays excluded until the next statement.
    assert {(case.opted_in, case.member) for case in differ} <= {(True, "unsubscribed")}
    assert all(statement_id is not None for *_, statement_id in found)


_PREFERENCE_OF_FORMER_VERSION = text("""
insert into email_preferences (organisation_id, entity_type, entity_id, subscriber_hash, opted_in, consent_given_at,
    consent_withdrawn_at, consent_source, updated_at)
values (:organisation_id, 'employee', 'new', :subscriber_hash, :opted_in, case when :opted_in then :at end,
    case when not :opted_in then :at end, 'letter', :at)
on conflict (organisation_id, entity_type, entity_id) do update set opted_in = excluded.opted_in,
    consent_source = excluded.consent_source, updated_at = excluded.updated_at,
    consent_given_at = coalesce(excluded.consent_given_at, email_preferences.consent_given_at),
    consent_withdrawn_at = coalesce(excluded.consent_withdrawn_at, email_preferences.consent_withdrawn_at)
""")


def test_preferences_written_by_the_former_version_become_statements(old: Database, empty_database_url: str) -> None:
    migrate(empty_database_url)
    hers = "e" * 32
    found: list[str | None] = []
    for number, opted_in in enumerate((False, True, False, False)):
        with old.organisation(ACME) as session:
            parameters = {"organisation_id": ACME, "subscriber_hash": hers, "at": AT + number * HOUR}
            session.execute(_PREFERENCE_OF_FORMER_VERSION, {**parameters, "opted_in": opted_in})
        found += exclusions(old, [("new", "0" * 32), ("somebody", hers)])
    assert found == ["opted_out", "opted_out", None, None, "opted_out", "opted_out", "opted_out", "opted_out"]
    with old.organisation(ACME) as session:
        recorded = session.execute(
            text("select opted_in, source, stated_at from consent_statements where entity_id = 'new' order by id")
        ).all()
        latest, last = session.execute(
            text(
                "select statement_id, (select max(id) from consent_statements) from email_preferences"
                " where entity_id = 'new'"
            )
        ).one()
    assert recorded == [
        (opted_in, "letter", AT + number * HOUR) for number, opted_in in enumerate((False, True, False, False))
    ]
    assert latest == last


def test_consent_that_was_required_is_required_still(old: Database, empty_database_url: str) -> None:
    with old.unrestricted() as connection, connection.begin():
        connection.execute(_REQUIRING_CONSENT, {"organisation_id": ACME, "at": AT})
    migrate(empty_database_url)
    gave = exclusions(old, [(str(place), "0" * 32) for place, case in enumerate(CASES) if case.opted_in])
    never = exclusions(old, [(str(place), "0" * 32) for place, case in enumerate(CASES) if case.opted_in is None])
    assert set(gave) == {None}
    assert set(never) <= {"no_consent", "opted_out"}


_REQUIRING_CONSENT = text("""
insert into mailchimp_connections (organisation_id, account_id, account_name, data_center, api_key_encrypted,
    api_key_hint, connected_by, connected_at, opt_in_only)
values (:organisation_id, 'account-1', 'Acme', 'us6', 'sealed', 'cdef', 'alice', :at, true)
""")


@pytest.mark.parametrize("way", WAYS)
def test_erased_contacts_stay_erased(empty_database_url: str, way: str) -> None:
    migrate(empty_database_url, BEFORE)
    with Database(empty_database_url) as database:
        with database.organisation(ACME) as session:
            keyed = keyed_hashes(session, KEYRING)
            row = {"organisation_id": ACME, "at": AT, "address": keyed.of_address("a"), "entity": keyed.of_entity(*ANN)}
            for statement in _ERASED:
                session.execute(text(statement), row)
        WAYS[way](empty_database_url)
        with database.organisation(ACME) as session:
            erased = ErasedContacts(session, KEYRING)
            assert (erased.holds(ANN), erased.of_addresses(["a", "b"])) == (True, {"a"})
            assert erased.relations() == {EntityType.EMPLOYEE}


_ERASED = (
    """insert into erasure_requests (organisation_id, entity_hash, requested_by, requested_at)
    values (:organisation_id, :entity, 'alice', :at)""",
    """insert into erased_contacts (organisation_id, kind, keyed_hash, entity_type, erasure_request_id, erased_at)
    select organisation_id, 'entity', :entity, 'employee', id, :at from erasure_requests
    union all select organisation_id, 'address', :address, null, id, :at from erasure_requests""",
)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "there and back"])
def test_members_keep_what_is_known_of_them(empty_database_url: str, way: str) -> None:
    migrate(empty_database_url, BEFORE)
    with Database(empty_database_url) as database:
        with database.unrestricted() as connection, connection.begin():
            connection.execute(_REFUSED, [{"hash": name, **states} for name, states in _STATES.items()])
        WAYS[way](empty_database_url)
        with database.organisation(ACME) as session:
            statuses = session.execute(text("select subscriber_hash, status from audience_members")).all()
            rejected = session.execute(text("select subscriber_hash, reason, is_final from rejected_contacts")).all()
            statements = session.scalars(text("select count(*) from consent_statements")).one()
    assert dict(map(tuple, statuses)) == {
        "pushed": "subscribed",
        "leaver": "removed",
        "by-admin": "archived",
        "fake": None,
        "deleted": None,
        "changed": "subscribed",
    }
    assert set(map(tuple, rejected)) == {
        ("fake", "looks_fake", False),
        ("deleted", "permanently_deleted", True),
        ("changed", "merge_field", False),
    }
    assert statements == 0


_STATES: dict[str, dict[str, str | None]] = {
    "pushed": {"state": "pushed", "status": "subscribed", "refusal": None},
    "leaver": {"state": "archived", "status": "archived", "refusal": None},
    "by-admin": {"state": "seen", "status": "archived", "refusal": None},
    "fake": {"state": "refused", "status": None, "refusal": "looks_fake"},
    "deleted": {"state": "refused", "status": None, "refusal": "permanently_deleted"},
    "changed": {"state": "refused", "status": "subscribed", "refusal": "merge_field"},
}
_REFUSED = text(f"""
insert into audience_members (organisation_id, mailchimp_list_id, subscriber_hash, entity_type, entity_id, state,
    status, refusal)
values ('{ACME}', '{OTHER_LIST}', :hash, 'employee', :hash, :state, :status, :refusal)
""")  # noqa: S608 - put together of constants
