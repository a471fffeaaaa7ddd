"""The plan: of the contacts that differ, who is sent and as what. Pure, and the only place that decides it.

What does not belong here: who is a member of the segment (`segments`), sending (`push`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailchimp_pipeline.sync.model import BATCH_SIZE, MemberStatus, NewMember, Refusal

if TYPE_CHECKING:
    import pandas as pd

WITHHELD: Mapping[str, Refusal] = {
    MemberStatus.UNSUBSCRIBED: Refusal.UNSUBSCRIBED,
    MemberStatus.CLEANED: Refusal.CLEANED,
    MemberStatus.ARCHIVED: Refusal.ARCHIVED,
    MemberStatus.TRANSACTIONAL: Refusal.TRANSACTIONAL,
    MemberStatus.PENDING: Refusal.PENDING,
}
"""Standings that keep a contact from being sent: whoever is not known as subscribed is left alone."""

_MERGE_FIELDS = {"FNAME": "first_name", "LNAME": "last_name"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about one piece of `Ledger.differences`: rows of it, each in one of the five.

    `new` are not in the audience as far as we know, `moved` neither, but under a former address; `changed` are
    subscribed there in another form; `returning` unsubscribed there and opted in later.
    """

    new: "pd.DataFrame"
    moved: "pd.DataFrame"
    changed: "pd.DataFrame"
    returning: "pd.DataFrame"
    withheld: Mapping[Refusal, int]

    @property
    def sends(self) -> bool:
        """Whether anybody is to be sent."""
        return any(not rows.empty for rows in (self.new, self.moved, self.changed, self.returning))


def plan(differences: "pd.DataFrame") -> Plan:
    """Decide by each contact's known status at Mailchimp, and by its own later word: there, its address included."""
    status = differences["known_status"]
    own_address = differences["own_address"].notna()
    unknown = status.isna() & ~own_address
    subscribed = (status == MemberStatus.SUBSCRIBED.value).fillna(value=False) & ~own_address
    left = (status == MemberStatus.UNSUBSCRIBED.value).fillna(value=False) & ~own_address
    returning = left & differences["returns"].notna()
    moved = unknown & differences["moved_from"].notna()
    withheld = status[~unknown & ~subscribed & ~returning & ~own_address].value_counts()
    reasons = Counter({WITHHELD.get(str(value), Refusal.OTHER): int(count) for value, count in withheld.items()})
    reasons[Refusal.OWN_ADDRESS] += int(own_address.sum())
    return Plan(
        new=differences[unknown & ~moved],
        moved=differences[moved],
        changed=differences[subscribed],
        returning=differences[returning],
        withheld=+reasons,
    )


class Batches:
    """Cuts rows into pieces that fit one call, and keeps what fills none until more come."""

    def __init__(self) -> None:
        self._left: list[pd.DataFrame] = []

    def full(self, rows: "pd.DataFrame") -> Iterator["pd.DataFrame"]:
        """Yield those that are full, of these rows and what was left."""
        import pandas as pd  # noqa: PLC0415 - only a run loads pandas

        waiting = pd.concat([*self._left, rows], ignore_index=True)
        whole = len(waiting) - len(waiting) % BATCH_SIZE
        self._left = [waiting.iloc[whole:]]
        yield from (waiting.iloc[start : start + BATCH_SIZE] for start in range(0, whole, BATCH_SIZE))

    def last(self) -> Iterator["pd.DataFrame"]:
        """Yield what is left."""
        yield from (rows for rows in self._left if not rows.empty)
        self._left = []


def members(rows: "pd.DataFrame", status: MemberStatus, merge_tags: frozenset[str]) -> list[NewMember]:
    """Return the rows as they are sent, with the merge fields that the audience has."""
    from mailchimp_pipeline.contacts.arrow import text_column  # noqa: PLC0415 - only a run loads pandas

    tags = sorted(merge_tags & _MERGE_FIELDS.keys())
    columns = ["subscriber_hash", "email", *(_MERGE_FIELDS[tag] for tag in tags)]
    # By Arrow: the frame's own `tolist` makes each value by itself, five times as slowly.
    values = (text_column(rows[column].fillna("")).to_pylist() for column in columns)
    return [
        NewMember(subscriber_hash, email, status, dict(zip(tags, fields, strict=True)))
        for subscriber_hash, email, *fields in zip(*values, strict=True)
    ]
