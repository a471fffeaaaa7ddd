"""Webhook calls in Mailchimp's format, valid and malformed, and their signatures."""

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import urlencode

from hypothesis import strategies as st

from mailchimp_pipeline.mailchimp.webhook_events import EventKind
from mailchimp_pipeline_tests.database.builders import LIST

ANN, BOB = "ann@acme.test", "bob@acme.test"
SECRET = "5ecret"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def a_form(kind: str = "unsubscribe", *, at: datetime = NOW, list_id: str = LIST, **data: str) -> bytes:
    """Return a call's body. `data` are the `data[...]` fields; the default address is Ann's."""
    fired_at = at.strftime("%Y-%m-%d %H:%M:%S")
    known = {"list_id": list_id, "email": ANN, "action": "unsub", "id": "8a25ff1d98", "merges][EMAIL": ANN}
    return a_body(type=kind, fired_at=fired_at, **{f"data[{name}]": text for name, text in (known | data).items()})


def a_body(**fields: str) -> bytes:
    return urlencode(fields).encode()


def signed(body: bytes, *, at: datetime = NOW, secret: str = SECRET) -> str:
    """Return the signature header of a body."""
    unix = int(at.timestamp())
    digest = hmac.new(secret.encode(), f"{unix}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={unix},v1={digest}"


_keys = st.sampled_from(
    [
        "type",
        "fired_at",
        "data[list_id]",
        "data[action]",
        "data[reason]",
        "data[email]",
        "data[old_email]",
        "data[new_email]",
        "data[merges][FNAME]",
    ]
)
_values = st.one_of(
    st.text(max_size=20),
    st.sampled_from([*EventKind, "unsub", "abuse", LIST, ANN, "2026-03-01 08:00:00", "2026-02-30 08:00:00"]),
)
forms = st.lists(st.tuples(st.one_of(_keys, st.text(max_size=9)), _values), max_size=12).map(
    lambda pairs: urlencode(pairs, errors="replace").encode()
)
"""Malformed bodies."""
