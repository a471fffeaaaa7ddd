"""What would be sent of a contact, as one digest: equal digests mean there is nothing to send.

What does not belong here: comparing digests (`sync`) and keeping them (`database`).
"""

import hashlib
from typing import Any

import pandas as pd
import pyarrow as pa

from mailchimp_pipeline.contacts.arrow import ARROW_STRING, pc, text_by_text, text_column

_SENT = ("email", "first_name", "last_name")
_DIGEST_BYTES = 16


def content_digest(frame: pd.DataFrame) -> "pd.Series[str]":
    """Return, for each row of `email`, `first_name` and `last_name`, 32 hex characters; the index is the frame's."""
    contents = pc.binary_join_element_wise(*(_delimited(text_column(frame[name])) for name in _SENT), "")
    digests: Any = pd.arrays.ArrowExtensionArray(text_by_text(_digest, contents))
    return pd.Series(digests, index=frame.index, name="digest", dtype=ARROW_STRING)


def _digest(content: str) -> str:
    return hashlib.blake2b(content.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _delimited(text: pa.StringArray) -> pa.StringArray:
    """Return each text with its length before it, which no content can feign, and `-` where there is none."""
    length = pc.cast(pc.binary_length(text), pa.string())
    return pc.coalesce(pc.binary_join_element_wise(length, text, ":"), "-")
