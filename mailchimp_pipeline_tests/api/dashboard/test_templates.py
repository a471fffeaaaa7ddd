"""The templates: every visible text can be translated."""

import re
from pathlib import Path

import pytest

import api.dashboard

TEMPLATES = sorted((Path(api.dashboard.__file__).parent / "templates").glob("*.html"))

_TRANSLATED = re.compile(r"\{%-? *trans\b.*?endtrans *-?%\}", re.DOTALL)
_JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
_CODE = re.compile(r"<code>.*?</code>", re.DOTALL)
_TAG = re.compile(r'<[^>]*>|[\w-]+="[^"]*"')
_READ_OUT = re.compile(r'\b(?:alt|aria-label|placeholder|title)="([^"]*)"')
_STRING = re.compile(r'(_\()?"([^"]*)"')


def untranslated(template: str) -> list[str]:
    """Return the texts that people would read without a translation."""
    page = _JINJA.sub("", _TRANSLATED.sub("", template))
    seen = [*_READ_OUT.findall(page), *_TAG.sub("\n", _CODE.sub("", page)).splitlines()]
    strings = [text for marked, text in _STRING.findall("".join(_JINJA.findall(template))) if not marked]
    sentences = [text for text in strings if " " in text.strip()]
    return [text for text in seen if re.search(r"[^\W\d_]{2}", text)] + sentences


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_text_of_a_page_can_be_translated(path: Path) -> None:
    assert untranslated(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("text", ["<p>Hello</p>", '<img alt="A logo">', '{{ "Sync now" if it }}'])
def test_a_text_outside_of_gettext_is_found(text: str) -> None:
    assert len(untranslated(text)) == 1
