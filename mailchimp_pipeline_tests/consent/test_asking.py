"""What an attempt asks of Mailchimp where a contact changed its address there, over a Mailchimp in memory."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.erasure import (
    AccountHistory,
    Deletion,
    ErasureRequest,
    ErasureStatus,
    MovedAtMailchimp,
    Targets,
    Trace,
)
from mailchimp_pipeline.erasure.erasures import AudienceDeletions
from mailchimp_pipeline.sync import Audience, MemberRef, MemberState, MemberStatus

OLD, NEW, NEWEST = "a" * 32, "b" * 32, "c" * 32
REQUEST = ErasureRequest(
    "1", "acme", ErasureStatus.PENDING, 1, 1, None, None, "alice", datetime(2026, 3, 1, tzinfo=UTC), None
)


class FakeMailchimp:
    """Audiences `l1` and `l2`; the second has one contact, at `address`. `odd` is what its deletion answers.

    After the deletion the contact is at the address `then`, None where it is gone.
    """

    def __init__(self, address: str | None, odd: Deletion | None = None, then: str | None = None) -> None:
        self.address = address
        self._odd = odd
        self._then = then

    def audiences(self) -> Sequence[Audience]:
        """See `erasure.Mailchimp`."""
        return [Audience(list_id, list_id, 1, double_optin=False) for list_id in ("l1", "l2")]

    def member_states(self, list_id: str, *, status: MemberStatus | None = None) -> Iterator[Sequence[MemberState]]:
        """See `erasure.Mailchimp`."""
        raise NotImplementedError(list_id, status)

    def member_state(self, list_id: str, ref: MemberRef) -> MemberState | None:
        """See `erasure.Mailchimp`."""
        is_there = (list_id, ref.subscriber_hash) == ("l2", self.address)
        return MemberState(ref.subscriber_hash, MemberStatus.SUBSCRIBED, contact_id="c1") if is_there else None

    def find_contact(self, list_id: str, contact_id: str) -> MemberState | None:
        """See `erasure.Mailchimp`."""
        is_there = list_id == "l2" and self.address
        return MemberState(is_there, MemberStatus.SUBSCRIBED, contact_id=contact_id) if is_there else None

    def delete_permanently(self, list_id: str, ref: MemberRef) -> Deletion:
        """See `erasure.Mailchimp`."""
        if (list_id, ref.subscriber_hash) != ("l2", self.address):
            return Deletion.UNKNOWN
        self.address = self._then
        return self._odd or Deletion.DELETED


class FakeRecords:
    """Records of an erasure that nobody else is at."""

    def audiences_known(self, request: ErasureRequest) -> Sequence[str]:
        """See `erasure.Records`."""
        return []

    def keeps_addresses(self, request: ErasureRequest) -> bool:
        """See `erasure.Records`."""
        return False

    def recognised(self, request: ErasureRequest, subscriber_hashes: Iterable[str]) -> Sequence[str]:
        """See `erasure.Records`."""
        raise NotImplementedError(request, subscriber_hashes)

    @contextmanager
    def hold_audience(self, request: ErasureRequest, list_id: str) -> Generator[None]:
        """See `erasure.Records`."""
        yield

    def save(self, request: ErasureRequest, targets: Targets, *, error: str | None = None) -> None:
        """See `erasure.Records`."""

    def remove_new_rows(self, request: ErasureRequest, targets: Targets, list_id: str) -> Targets:
        """See `erasure.Records`."""
        return targets


def asked(mailchimp: FakeMailchimp) -> AudienceDeletions:
    """Ask for a contact that the second audience had at its old address."""
    trace = Trace(list_id="l2", subscriber_hash=OLD, contact_id="c1")
    targets = Targets(entity_type=EntityType.EMPLOYEE, entity_id="1").with_traces([trace])
    asking = AudienceDeletions(FakeRecords(), REQUEST, targets, stopping=lambda: False)
    asking.everywhere(mailchimp, AccountHistory(is_connected=True, had_other_accounts=False))
    return asking


def test_a_contact_that_moved_is_deleted_where_it_is_and_asked_for_everywhere() -> None:
    mailchimp = FakeMailchimp(NEW)
    asking = asked(mailchimp)
    assert (mailchimp.address, asking.problems, asking.targets.deleted_from) == (None, [], ("l2",))
    assert set(asking.targets.settled) == {(list_id, address) for list_id in ("l1", "l2") for address in (OLD, NEW)}


@pytest.mark.parametrize("odd", [Deletion.UNKNOWN, Deletion.GONE_UNHEARD])
def test_a_contact_that_is_still_there_stays_pending(odd: Deletion) -> None:
    asking = asked(FakeMailchimp(NEW, odd, then=NEWEST))
    assert [type(problem) for problem in asking.problems] == [MovedAtMailchimp]
    assert asking.targets.is_anywhere


@pytest.mark.parametrize(("odd", "deleted_from"), [(Deletion.UNKNOWN, ()), (Deletion.GONE_UNHEARD, ("l2",))])
def test_what_the_lasting_id_no_longer_leads_to_is_gone(odd: Deletion, deleted_from: tuple[str, ...]) -> None:
    asking = asked(FakeMailchimp(NEW, odd))
    assert (asking.problems, asking.targets.is_anywhere, asking.targets.deleted_from) == ([], False, deleted_from)
