"""A client, a clock that advances with `sleep`, and Mailchimp's answers."""

import random
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread, current_thread

from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.mailchimp import ConnectionSlots, KeyWatch, MailchimpClient, Retries, ThreadSlots, Timeouts
from mailchimp_pipeline.sync import MemberStatus, NewMember
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS

A_KEY = "0123456789abcdef0123456789abcdef-us6"
LIST_ID = "a1b2c3d4e5"
ADDRESS = "ada.lovelace@engine.test"
A_HASH = subscriber_hash(ADDRESS)


@dataclass
class Time:
    """A clock for each thread that advances only while the thread sleeps, so threads sleep in parallel."""

    pauses: list[float] = field(default_factory=list[float])
    _slept: dict[Thread, float] = field(default_factory=dict[Thread, float])

    @property
    def now(self) -> float:
        """The latest time of any thread."""
        return max(self._slept.values(), default=0.0)

    def clock(self) -> float:
        """Return this thread's time."""
        return self._slept.get(current_thread(), 0.0)

    def sleep(self, seconds: float) -> None:
        """Advance this thread's time."""
        self.pauses.append(seconds)
        self._slept[current_thread()] = self.clock() + seconds

    def retries(self, budget: float = 60.0) -> Retries:
        """Return retries that use this clock."""
        rng = random.Random(7)  # noqa: S311 -- repeatable on purpose
        return Retries(budget=budget, sleep=self.sleep, clock=self.clock, rng=rng)


class CountingSlots:
    """Connection slots that count the current and all uses."""

    def __init__(self) -> None:
        self.held = 0
        self.taken = 0

    @contextmanager
    def slot(self) -> Generator[None]:
        """Use a slot until the end of the block."""
        self.held += 1
        self.taken += 1
        try:
            yield
        finally:
            self.held -= 1


def a_client(  # noqa: PLR0913 - a builder
    root: str,
    *,
    key: ApiKey | None = None,
    retries: Retries | None = None,
    timeouts: Timeouts | None = None,
    slots: ConnectionSlots | None = None,
    proxy: str | None = None,
    key_watch: KeyWatch | None = None,
) -> MailchimpClient:
    """Return a client, without retries by default."""
    return MailchimpClient(
        key or ApiKey.parse(A_KEY),
        root=root,
        slots=slots or ThreadSlots(),
        retries=retries or Time().retries(budget=0),
        timeouts=timeouts or Timeouts(connect=TIMEOUT_SECONDS, read=TIMEOUT_SECONDS),
        proxy=proxy,
        key_watch=key_watch,
    )


def a_new_member(
    email: str = ADDRESS,
    status: MemberStatus = MemberStatus.SUBSCRIBED,
    merge_fields: Mapping[str, str] | None = None,
) -> NewMember:
    return NewMember(subscriber_hash(email), email, status, merge_fields or {})


def a_problem(status: int, title: str, detail: str = "", **others: object) -> dict[str, object]:
    return {"status": status, "title": title, "detail": detail, "instance": "0f4c11aa-01", **others}


def a_member(email: str = ADDRESS, status: str = "subscribed", **others: object) -> dict[str, object]:
    """Return a member in Mailchimp's format, including blank fields."""
    return {
        "id": subscriber_hash(email),
        "email_address": email,
        "status": status,
        "merge_fields": {"FNAME": "", "LNAME": "", "ADDRESS": "", "PHONE": ""},
        "timestamp_signup": "",
        "ip_signup": "",
        "last_changed": "2026-01-02T03:04:05+00:00",
        **others,
    }


def a_list(list_id: str = LIST_ID, **others: object) -> dict[str, object]:
    """Return an audience in Mailchimp's format."""
    stats = {"member_count": 7, "campaign_last_sent": ""}
    return {"id": list_id, "web_id": 12, "name": "News", "double_optin": False, "stats": stats, **others}


def a_batch_result(
    new: tuple[object, ...] = (), updated: tuple[object, ...] = (), errors: tuple[object, ...] = ()
) -> dict[str, object]:
    """Return the answer to a batch. Its totals are wrong on purpose."""
    return {
        "new_members": list(new),
        "updated_members": list(updated),
        "errors": list(errors),
        "total_created": 99,
        "total_updated": 99,
        "error_count": 0,
    }


def an_item(error: str, email: str = ADDRESS, code: str = "ERROR_GENERIC", field: str = "") -> dict[str, str]:
    """Return an item of a batch's `errors`. `X` in the text stands for the address."""
    return {
        "email_address": email,
        "error": error.replace("X", email, 1),
        "error_code": code,
        "field": field,
        "field_message": "",
    }
