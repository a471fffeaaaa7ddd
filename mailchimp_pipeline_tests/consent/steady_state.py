"""What must be true once everything is calm: Mailchimp answers, refuses nobody, and the schedule has done its work."""

import re
from collections import Counter
from collections.abc import Iterator

from mailchimp_pipeline_tests.consent.company import Person, key_of, spellings
from mailchimp_pipeline_tests.consent.consent_oracle import MAILED, NO, YES
from mailchimp_pipeline_tests.consent.product import SegmentSpec
from mailchimp_pipeline_tests.consent.scenario import DAY, LISTS, ConsentScenario
from sandbox import Status, StoredMember

_REJECTED_FOR_EVER = re.compile(
    r"Mailchimp rejected \d+ of the \d+ contacts of segment '\w+'"
    r" \((\d+ compliance state, )?\d+ (permanently deleted|compliance state)\)"
)
"""Why a segment stays in error: only the contacts themselves can come back. Some unsubscribed while they were archived,
which Mailchimp shows by nothing else."""

_UNTIL_RETRIED = 10 * DAY
"""So long after a refusal Mailchimp is asked again, at the latest."""


def reach_steady_state(scenario: ConsentScenario) -> None:
    """Let nothing happen any more but what the schedule does, and a person who confirms departures."""
    scenario.sandbox.clear_faults()
    scenario.sandbox.clear_hooks()
    scenario.leave(None)
    scenario.sandbox.lift_signup_limits()
    for list_id in LISTS:
        for tag in ("PHONE", "LNAME"):
            if scenario.sandbox.has_merge_field(list_id, tag):
                scenario.sandbox.require_merge_field(list_id, tag, required=False)
    if not scenario.is_connected or scenario.is_elsewhere:
        scenario.connect()
    for pause in (DAY, _UNTIL_RETRIED):
        scenario.clocks.move(pause)
        scenario.tick()
        scenario.daily_sync()
        for name in sorted(scenario.segments):
            if "would leave" in (scenario.segment(name).last_error or ""):
                scenario.manual_sync(name, confirm_departures=True)


def steady_state_wrongs(scenario: ConsentScenario) -> Iterator[str]:
    """Yield what is wrong, as a person reads it."""
    there = {list_id: scenario.sandbox.members(list_id) for list_id in LISTS}
    for list_id, members in there.items():
        yield from _wrong_members(scenario, list_id, members)
    for name, (_, spec) in sorted(scenario.segments.items()):
        yield from _wrongs_of_segment(scenario, name, spec, there[spec.list_id])
    yield from _wrong_leavers(scenario)
    yield from _wrong_preferences(scenario)


def _wrong_members(scenario: ConsentScenario, list_id: str, members: list[StoredMember]) -> Iterator[str]:
    """Yield who is mailed, or there at all, and must not be; and who is mailed twice."""
    oracle = scenario.oracle
    for member in members:
        key = key_of(member.email_address)
        holders = oracle.holders(list_id, key)
        erased = [
            each
            for each in oracle.erasures
            if each.reaches_account and key in each.keys and oracle.is_erased(each, holders, key) is YES
        ]
        if erased:
            # Who signs up at Mailchimp after the erasure is a stranger to the product.
            if not oracle.has_come_since(list_id, key, since=min(each.index for each in erased)):
                yield f"{key} was erased and is {member.status} in {list_id}"
        elif member.status in MAILED and holders:
            block = oracle.withdrawn(list_id, key, oracle.known_by_now)
            if block.certainty is YES:
                yield f"{key} is {member.status} in {list_id}: {block.why}"
    mailed = Counter(key_of(member.email_address) for member in members if member.status in MAILED)
    yield from (f"{key} is mailed {times} times in {list_id}" for key, times in mailed.items() if times > 1)


def _wrongs_of_segment(
    scenario: ConsentScenario, name: str, spec: SegmentSpec, members: list[StoredMember]
) -> Iterator[str]:
    """Yield who of a segment is not mailed though nothing says why, and what the API says wrongly of the segment."""
    state, oracle = scenario.segment(name), scenario.oracle
    if (state.status != "synced" or state.last_error) and not _REJECTED_FOR_EVER.match(state.last_error or ""):
        yield f"segment {name} is {state.status}: {state.last_error}"
    by_key = {key_of(member.email_address): member for member in members}
    wanted = [person for person in scenario.company if person.matches(spec.segment_type, spec.filter_criteria)]
    sure, possible = set[str](), set[str]()
    for person in wanted:
        block = oracle.block(spec.list_id, person.key)
        # Not everybody with the address is in the segment.
        consents = max(oracle.consents(each.entity) for each in wanted if each.key == person.key)
        lacks_consent = oracle.opt_in_only and consents is not YES
        may_stay_away = (
            oracle.is_entangled(person.entity)
            or oracle.is_set_aside(spec.list_id, person.key)
            or _has_left(scenario, person, by_key)
        )
        if block.certainty is NO and not lacks_consent and not may_stay_away:
            sure.add(person.key)
            yield from _wrongs_of_wanted(scenario, person, spec.list_id, by_key)
        elif block.certainty is not YES or may_stay_away:
            possible.add(person.key)
    if state.wanted is not None and not len(sure) <= state.wanted <= len(sure | possible):
        yield f"segment {name} counts {state.wanted} members, and has {len(sure)} to {len(sure | possible)}"


def _has_left(scenario: ConsentScenario, person: Person, members: dict[str, StoredMember]) -> bool:
    """Tell whether the address is unsubscribed, perhaps for somebody else who had it, and nobody opted in with it."""
    member, holders = members.get(person.key), scenario.company.holders(person.key)
    has_opted_in = any(said.key == person.key or said.entity in holders for said in scenario.oracle.opt_ins)
    return bool(member and member.status is Status.UNSUBSCRIBED) and not has_opted_in


def _wrongs_of_wanted(
    scenario: ConsentScenario, person: Person, list_id: str, members: dict[str, StoredMember]
) -> Iterator[str]:
    oracle, who = scenario.oracle, f"{person.entity} as {person.key}"
    own = [key for (there, key), root in oracle.own_addresses.items() if (there, root) == (list_id, person.key)]
    mailed = [m for key in (person.key, *own) if (m := members.get(key)) and m.status in MAILED]
    is_open = any(oracle.block(list_id, key).certainty for key in own)
    is_forgotten = any(scenario.sandbox.is_forgotten(list_id, spelled) for spelled in spellings(person.key))
    if not mailed and not is_open and not is_forgotten:
        status = members[person.key].status.value if person.key in members else "not there"
        yield f"{who} is wanted in {list_id}, and is {status}"
    # Somebody else who had the address in HR then may have given the other one, or this one.
    is_alone = len(oracle.company.holders(person.key)) == 1 and (list_id, person.key) not in oracle.own_addresses
    is_theirs = is_alone and all(oracle.given_by.get((list_id, key)) == person.entity for key in own)
    has_signed_up = any(oracle.has_signed_up(list_id, key_of(member.email_address)) for member in mailed)
    if len(mailed) > 1 and is_theirs and not has_signed_up:
        yield f"{who} is mailed in {list_id} at {' and '.join(member.email_address for member in mailed)}"
    if is_alone and not own:
        yield from _wrong_names(person, list_id, mailed)


def _wrong_names(person: Person, list_id: str, mailed: list[StoredMember]) -> Iterator[str]:
    for member in mailed:
        for tag, name in (("FNAME", person.first_name), ("LNAME", person.last_name)):
            has = member.merge_fields.get(tag, name)
            if member.status is Status.SUBSCRIBED and name and has != name:
                yield f"{person.entity} has {tag} {has!r} in {list_id}, and {name!r} in HR"


def _wrong_leavers(scenario: ConsentScenario) -> Iterator[str]:
    """Yield whom we brought to an audience, who left or moved, and who is subscribed there all the same."""
    oracle, archiving = scenario.oracle, scenario.archiving()
    for (list_id, entity), key in sorted(oracle.sent.items()):
        is_there = oracle.members.get((list_id, key)) is Status.SUBSCRIBED and (list_id, key) in oracle.brought
        # Of several who had the address the product knows one.
        known = {each for (place, each), sent in oracle.sent.items() if (place, sent) == (list_id, key)}
        if not is_there or known != {entity} or oracle.holders(list_id, key):
            continue
        person = oracle.company.find(entity)
        if oracle.opt_in_only and oracle.consents(entity) is not YES:
            # Who did not opt in leaves as well, by each segment's own way with leavers.
            continue
        is_wanted = person and any(
            spec.list_id == list_id and person.matches(spec.segment_type, spec.filter_criteria)
            for _, spec in scenario.segments.values()
        )
        # Until the new address has confirmed, the former one stays. Somebody else may be the member at the new one.
        is_member = person and oracle.company.holders(person.key) == {entity}
        if person and is_member and is_wanted and oracle.members.get((list_id, person.key)) is Status.SUBSCRIBED:
            yield f"{entity} is mailed in {list_id} at {person.key} and still at {key}"
        elif not is_wanted and oracle.sent_by[list_id, entity] <= archiving:
            yield f"{entity} left {list_id} and is still subscribed at {key}"


def _wrong_preferences(scenario: ConsentScenario) -> Iterator[str]:
    """Yield where the API says something else of a contact's consent than the contact."""
    oracle = scenario.oracle
    for entity in sorted(oracle.company.had):
        if oracle.is_entangled(entity) or any(erased.entity == entity for erased in oracle.erasures):
            continue
        has_spoken = any(said.entity == entity and said.certainty is YES for said in oracle.opt_ins)
        expected = {YES: False, NO: True if has_spoken else None}.get(oracle.opted_out(entity))
        found = None if expected is None else scenario.preference(entity)
        if expected is not None and (found is None or found.opted_in is not expected):
            yield f"{entity} {'opted in' if expected else 'said no'}, and the API says {found}"
