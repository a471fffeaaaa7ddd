"""Normalised text, for comparing ids, headers and filter values.

Exports from HR systems and spreadsheets have non-breaking spaces, full-width letters and invisible characters. Texts
that look alike have the same normalised form.
"""

import re
import unicodedata

import pyarrow as pa

from mailchimp_pipeline.contacts.arrow import NO_TEXT, each_once, pc

_IGNORABLE = (
    r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # control characters that are no blanks
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Invisible characters: control characters, and Unicode's `Default_Ignorable_Code_Point`."""

_INVISIBLE = re.compile(f"[{_IGNORABLE}]")

_BLANKS = "".join(character for character in map(chr, range(0x10000)) if character.isspace())
_AT_ENDS = _BLANKS + "".join(character for character in map(chr, range(0x10000)) if _INVISIBLE.match(character))

# Nearly all ids and values are normalised already, and this expression finds the others.
_NORMALISED_ASCII = r"^[!-~]+( [!-~]+)*$"


def normalised(text: str) -> str:
    """Return the text in NFKC, without invisible characters, with single blanks between words and none at the ends."""
    composed = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    return " ".join(composed.split())


def normalised_column(texts: pa.StringArray) -> pa.StringArray:
    """Return `normalised` of each text. Null stays null."""
    as_is = pc.match_substring_regex(texts, _NORMALISED_ASCII)
    if pc.all(as_is, skip_nulls=True).as_py():
        return texts
    return pc.if_else(as_is, texts, each_once(normalised, pc.if_else(as_is, NO_TEXT, texts)))


def trimmed_column(texts: pa.StringArray) -> pa.StringArray:
    """Return the texts without blanks and invisible characters at their ends, null if nothing else is left.

    For text that is sent and not compared, such as names. Inside, only NUL is removed, which PostgreSQL cannot store.
    """
    trimmed = pc.utf8_trim(pc.replace_substring(texts, "\0", ""), characters=_AT_ENDS)
    return pc.if_else(pc.equal(trimmed, ""), NO_TEXT, trimmed)


def same_text(texts: pa.StringArray, wanted: str) -> pa.BooleanArray:
    """Return which texts equal `wanted`, both normalised. False for null."""
    return pc.fill_null(pc.equal(normalised_column(texts), normalised(wanted)), fill_value=False)
