"""The digest of a contact's data to send. An equal digest means that nothing has to be sent.

What does not belong here: comparing digests (`sync`), storing digests (`database`).
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from mailchimp_pipeline.contacts.arrow import ARROW_STRING, pc, text_by_text, text_column

_DIGEST_BYTES = 16


def content_digest(frame: pd.DataFrame, merge_fields: Mapping[str, str]) -> "pd.Series[str]":
    """Return, for each row, a digest (32 hex characters) of `email` and merge fields. The index is the frame's.

    `merge_fields` maps the tag of each of the audience's merge fields to a column. Missing values are left out, so a
    merge field without a value does not change the digest.
    """
    email = _delimited(text_column(frame["email"]), "EMAIL")
    others = (_delimited(text_column(frame[column]), tag) for tag, column in sorted(merge_fields.items()))
    contents = pc.binary_join_element_wise(email, *others, "")
    digests: Any = pd.arrays.ArrowExtensionArray(text_by_text(_digest, contents))
    return pd.Series(digests, index=frame.index, name="digest", dtype=ARROW_STRING)


def _digest(content: str) -> str:
    return hashlib.blake2b(content.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _delimited(text: pa.StringArray, tag: str) -> pa.StringArray:
    """Return each text with its tag and length before it, which makes the digest unambiguous. Null becomes blank."""
    length = pc.cast(pc.binary_length(text), pa.string())
    return pc.coalesce(pc.binary_join_element_wise(tag, length, text, ":"), "")
