"""Decide which of the contacts that differ from the audience are sent, and with which action.

No other module decides it. The functions here take values and return values.
"""

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
"""The column of a contact from which each merge field gets its value."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sync does with the contacts of one `Compared`. Each row of `differences` is in exactly one of the fields.

    `new` contacts are not in the audience. `moved` contacts are in it under a former address. `changed` contacts are
    subscribed with other data. `returning` contacts unsubscribed and opted in later. `withheld` contacts are not sent;
    they are by reason, and no reason is without a contact.
    """

    new: "pd.DataFrame"
    moved: "pd.DataFrame"
    changed: "pd.DataFrame"
    returning: "pd.DataFrame"
    withheld: "Mapping[Rejection, pd.DataFrame]"

    @property
    def sends(self) -> bool:
        """Whether the plan has a contact to send."""
        return any(not rows.empty for rows in (self.new, self.moved, self.changed, self.returning))


def plan(differences: "pd.DataFrame") -> Plan:
    """Return the plan for the rows of `Compared.differences`.

    It depends on each contact's known status, on whether the contact has another address in the audience, and on
    whether the contact opted in later.
    """
    status = differences["known_status"]
    own_address = differences["own_address"].notna()
    unknown = status.isna() & ~own_address
    subscribed = (status == KnownStatus.SUBSCRIBED.value).fillna(value=False) & ~own_address
    left = (status == KnownStatus.UNSUBSCRIBED.value).fillna(value=False) & ~own_address
    returning = left & differences["returns"].notna()
    moved = unknown & differences["moved_from"].notna()
    withheld = differences[~unknown & ~subscribed & ~returning]
    reasons = [
        Rejection.OWN_ADDRESS if own else _WITHHELD.get(value, Rejection.OTHER)
        for own, value in zip(own_address[withheld.index], withheld["known_status"], strict=True)
    ]
    return Plan(
        new=differences[unknown & ~moved],
        moved=differences[moved],
        changed=differences[subscribed],
        returning=differences[returning],
        withheld={Rejection(str(reason)): rows for reason, rows in withheld.assign(reason=reasons).groupby("reason")},
    )


def why_withheld(status: KnownStatus | MemberStatus | None) -> Rejection:
    """Return the reason why a member with this status is not sent.

    The status is None if the member does not exist.
    """
    return _WITHHELD.get(status, Rejection.OTHER) if status else Rejection.OTHER


class Batches:
    """Splits rows into batches of `BATCH_SIZE`. Rows that do not fill a batch are kept until more rows are added."""

    def __init__(self) -> None:
        self._left: list[pd.DataFrame] = []

    def full(self, rows: "pd.DataFrame") -> Iterator["pd.DataFrame"]:
        """Add rows, and yield the batches that are now full."""
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
    """Return the rows as members to send to Mailchimp.

    Of the merge fields, each member has those in `merge_tags` for which the row has a value.
    """
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
