"""Recognisable secrets and personal data, and the places where personal data may be stored."""

from base64 import b64encode

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline_tests.api.served import SECRET, a_token

API_KEY = "5ec7e7a9d15ea5e0badc0ffee0ddf00d-us6"
REFUSED_KEY = "5ec7e7bead1efacedecade0ff1ceb00c-us6"
MALFORMED_KEY = "5ec7e7-of-no-form-at-all"


def in_base64(text: str) -> tuple[str, ...]:
    """Return the text as a part of a longer base64 text, such as an HTTP header."""
    return tuple(b64encode(bytes(shift) + text.encode()).decode()[4:-4] for shift in range(3))


KEYS = (
    *(key.removesuffix("-us6") for key in (API_KEY, REFUSED_KEY, MALFORMED_KEY)),
    *(in_base64(API_KEY)),
    # The only encryption key, in the environment's form and decoded; the common header of all tokens.
    "MTExMTExMTExMTEx",
    SECRET,
    a_token().partition(".")[0] + ".",
)

KNOWN = {"email": "zebulon.quixley@marked.test", "first_name": "Zebulon", "last_name": "Quixley"}
REFUSED = {"email": "xanthippe.vroomfondel@example.com", "first_name": "Xanthippe", "last_name": "Vroomfondel"}
MALFORMED = {"email": "not-at-all-an-address-of-ozymandias", "first_name": "Ozymandias", "last_name": "Wimbleworth"}
PEOPLE = (KNOWN, REFUSED, MALFORMED)

PERSONAL_DATA = tuple(trait for person in PEOPLE for trait in person.values())
HASHES = tuple(subscriber_hash(person["email"]) for person in PEOPLE)

PERSONAL_DATA_TABLES = {"segment_members", "audience_members", "pg_statistic"}
"""Where addresses and names are stored. PostgreSQL's statistics sample the tables; an erasure renews them."""
HASH_TABLES = {*PERSONAL_DATA_TABLES, "consent_statements", "email_preferences", "rejected_contacts"}

PROCEDURES_WITH_PERSONAL_DATA = {"mailchimp.preferences.export"}
"""The procedures whose answers contain addresses and names."""
