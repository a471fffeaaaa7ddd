"""The plan: of the contacts that differ, which are sent and how. Pure, and the only place that decides it.

What does not belong here: who is a member of the segment (`segments`), sending (`push`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailchimp_pipeline.sync.model import BATCH_SIZE, KnownStatus, MemberRef, MemberStatus, NewMember, Rejection

if TYPE_CHECKING:
    import pandas as pd

_WITHHELD: Mapping[str, Rejection] = {
    KnownStatus.UNSUBSCRIBED: Rejection.UNSUBSCRIBED,
    KnownStatus.CLEANED: Rejection.CLEANED,
    KnownStatus.ARCHIVED: Rejection.ARCHIVED,
    KnownStatus.TRANSACTIONAL: Rejection.TRANSACTIONAL,
    KnownStatus.PENDING: Rejection.PENDING,
}

MERGE_FIELDS = {"FNAME": "first_name", "LNAME": "last_name"}
"""The column of a contact that feeds each merge field."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about one piece of `Ledger.compare`: each of its rows is in one of the five.

    `new` are not in the audience as far as we know. `moved` are under a former address. `changed` are subscribed with
    other data. `returning` unsubscribed, and opted in later. `withheld` are not sent, by reason.
    """

    new: "pd.DataFrame"
    moved: "pd.DataFrame"
    changed: "pd.DataFrame"
    returning: "pd.DataFrame"
    withheld: Mapping[Rejection, int]

    @property
    def sends(self) -> bool:
        """Whether anybody is to be sent."""
        return any(not rows.empty for rows in (self.new, self.moved, self.changed, self.returning))


def plan(differences: "pd.DataFrame") -> Plan:
    """Decide by each contact's known status in the audience, its address there, and its later opt-in."""
    status = differences["known_status"]
    own_address = differences["own_address"].notna()
    unknown = status.isna() & ~own_address
    subscribed = (status == KnownStatus.SUBSCRIBED.value).fillna(value=False) & ~own_address
    left = (status == KnownStatus.UNSUBSCRIBED.value).fillna(value=False) & ~own_address
    returning = left & differences["returns"].notna()
    moved = unknown & differences["moved_from"].notna()
    withheld = status[~unknown & ~subscribed & ~returning & ~own_address].value_counts()
    reasons = Counter({_WITHHELD.get(str(value), Rejection.OTHER): int(count) for value, count in withheld.items()})
    reasons[Rejection.OWN_ADDRESS] += int(own_address.sum())
    return Plan(
        new=differences[unknown & ~moved],
        moved=differences[moved],
        changed=differences[subscribed],
        returning=differences[returning],
        withheld=+reasons,
    )


def why_withheld(status: KnownStatus | MemberStatus | None) -> Rejection:
    """Return why a member with this status is not sent; None is one that was said to exist, and then does not."""
    return _WITHHELD.get(status, Rejection.OTHER) if status else Rejection.OTHER


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
    """Return the rows as they are sent, with the merge fields that the audience has. A missing value is not sent."""
    from mailchimp_pipeline.contacts.arrow import text_column  # noqa: PLC0415 - only a run loads pandas

    tags = sorted(merge_tags & MERGE_FIELDS.keys())
    columns = ["subscriber_hash", "email", *(MERGE_FIELDS[tag] for tag in tags)]
    # By Arrow: the frame's own `tolist` makes each value by itself, five times as slowly.
    values = (text_column(rows[column]).to_pylist() for column in columns)
    return [
        NewMember(
            subscriber_hash,
            email,
            status,
            {tag: value for tag, value in zip(tags, fields, strict=True) if value is not None},
        )
        for subscriber_hash, email, *fields in zip(*values, strict=True)
    ]


def refs(rows: "pd.DataFrame") -> list[MemberRef]:
    """Return the members that the rows are about, in their order."""
    from mailchimp_pipeline.contacts.arrow import text_column  # noqa: PLC0415 - only a run loads pandas

    keys, ids = (text_column(rows[name]).to_pylist() for name in ("subscriber_hash", "member_id"))
    return [MemberRef(key, member_id=member_id) for key, member_id in zip(keys, ids, strict=True) if key]
