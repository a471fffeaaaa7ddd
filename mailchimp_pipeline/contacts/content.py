"""What would be sent of a contact, as one digest: equal digests mean there is nothing to send.

What does not belong here: comparing digests (`sync`) and keeping them (`database`).
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from mailchimp_pipeline.contacts.arrow import ARROW_STRING, pc, text_by_text, text_column

_DIGEST_BYTES = 16


def content_digest(frame: pd.DataFrame, merge_fields: Mapping[str, str]) -> "pd.Series[str]":
    """Return, for each row, 32 hex characters over its `email` and merge fields; the index is the frame's.

    `merge_fields` has the column of each merge field that the audience has, by tag. A missing value is not sent, so
    that it makes no difference whether the audience has its field.
    """
    email = _delimited(text_column(frame["email"]), "EMAIL")
    others = (_delimited(text_column(frame[column]), tag) for tag, column in sorted(merge_fields.items()))
    contents = pc.binary_join_element_wise(email, *others, "")
    digests: Any = pd.arrays.ArrowExtensionArray(text_by_text(_digest, contents))
    return pd.Series(digests, index=frame.index, name="digest", dtype=ARROW_STRING)


def _digest(content: str) -> str:
    return hashlib.blake2b(content.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _delimited(text: pa.StringArray, tag: str) -> pa.StringArray:
    """Return each text after its tag and its length, which no content can feign; nothing where there is none."""
    length = pc.cast(pc.binary_length(text), pa.string())
    return pc.coalesce(pc.binary_join_element_wise(tag, length, text, ":"), "")
