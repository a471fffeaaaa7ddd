"""Decide which differing contacts are sent, and with which action. Only this module decides it. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailchimp_pipeline.sync.audience import BATCH_SIZE, KnownStatus, MemberRef, MemberStatus, NewMember, Rejection

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
"""The column of a contact that each merge field gets its value from."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The actions for one piece of `Ledger.compare`. Each row of the piece belongs to exactly one field.

    `new` contacts are not in the audience. `moved` contacts are in it under a former address. `changed` contacts are
    subscribed with other data. `returning` contacts unsubscribed and opted in later. `withheld` counts the contacts
    that are not sent, by reason.
    """

    new: "pd.DataFrame"
    moved: "pd.DataFrame"
    changed: "pd.DataFrame"
    returning: "pd.DataFrame"
    withheld: Mapping[Rejection, int]

    @property
    def sends(self) -> bool:
        """Whether the plan has a contact to send."""
        return any(not rows.empty for rows in (self.new, self.moved, self.changed, self.returning))


def plan(differences: "pd.DataFrame") -> Plan:
    """Return the plan for the rows of `Compared.differences`.

    The plan depends on each contact's known status, its address in the audience, and a later opt-in.
    """
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
    """Return the reason for which a member with this status is not sent. None means that the member does not exist."""
    return _WITHHELD.get(status, Rejection.OTHER) if status else Rejection.OTHER


class Batches:
    """Splits rows into batches of `BATCH_SIZE`. An incomplete batch is kept until more rows are added."""

    def __init__(self) -> None:
        self._left: list[pd.DataFrame] = []

    def full(self, rows: "pd.DataFrame") -> Iterator["pd.DataFrame"]:
        """Add rows, and yield the full batches."""
        import pandas as pd  # noqa: PLC0415 - only a run loads pandas

        waiting = pd.concat([*self._left, rows], ignore_index=True)
        whole = len(waiting) - len(waiting) % BATCH_SIZE
        self._left = [waiting.iloc[whole:]]
        yield from (waiting.iloc[start : start + BATCH_SIZE] for start in range(0, whole, BATCH_SIZE))

    def last(self) -> Iterator["pd.DataFrame"]:
        """Yield the incomplete batch, if there is one."""
        yield from (rows for rows in self._left if not rows.empty)
        self._left = []


def members(rows: "pd.DataFrame", status: MemberStatus, merge_tags: frozenset[str]) -> list[NewMember]:
    """Return the rows as members to send, with the merge fields that the audience has. Missing values are left out."""
    from mailchimp_pipeline.contacts.text_columns import text_column  # noqa: PLC0415 - only a run loads pandas

    tags = sorted(merge_tags & MERGE_FIELDS.keys())
    columns = ["subscriber_hash", "email", *(MERGE_FIELDS[tag] for tag in tags)]
    # Arrow converts a column five times as fast as the frame's `tolist`.
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
    """Return the ids of the members in these rows, in the same order."""
    from mailchimp_pipeline.contacts.text_columns import text_column  # noqa: PLC0415 - only a run loads pandas

    keys, ids = (text_column(rows[name]).to_pylist() for name in ("subscriber_hash", "member_id"))
    return [MemberRef(key, member_id=member_id) for key, member_id in zip(keys, ids, strict=True) if key]
