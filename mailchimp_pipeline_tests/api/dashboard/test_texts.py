"""The texts of the pages: all in one catalogue, and shown in the language of a translation."""

import re
import struct
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from api.dashboard.rendering import TEMPLATES, environment, use_translation
from api.dashboard.texts import CATALOGUE, catalogue
from mailchimp_pipeline.settings import SettingsError
from mailchimp_pipeline_tests.api.dashboard.visitor import a_visitor
from mailchimp_pipeline_tests.api.procedures.stage import Tenant

SHOWN_ATTRIBUTES = {"aria-label", "alt", "placeholder", "title", "data-away"}
ENGLISH_BY_NATURE = {"UTC", "CSV", "JSON", "ASCII"}


class Texts(HTMLParser):
    """Collects the texts that a person sees or hears."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in SHOWN_ATTRIBUTES]

    def handle_data(self, data: str) -> None:
        if self.get_starttag_text() != "<code>":
            self.found.append(data)


@pytest.fixture
def translated(tmp_path: Path) -> Iterator[None]:
    """Translate each text of the catalogue: what is shown has brackets around it."""
    use_translation(a_translation(tmp_path / "xx.mo", {"Segments": "[Segmente]", "Overview": "[Überblick]"}))
    yield
    use_translation(None)


def a_translation(path: Path, texts: dict[str, str]) -> Path:
    """Write a compiled catalogue, in the format of GNU gettext."""
    header = "Content-Type: text/plain; charset=UTF-8\nLanguage: de_AT\n"
    pairs = sorted((original.encode(), text.encode()) for original, text in ({"": header} | texts).items())
    start = 28 + 16 * len(pairs)
    tables, blob = [b"", b""], b""
    for which in (0, 1):
        for pair in pairs:
            tables[which] += struct.pack("<II", len(pair[which]), start + len(blob))
            blob += pair[which] + b"\0"
    path.write_bytes(
        struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0) + b"".join(tables) + blob
    )
    return path


def test_the_catalogue_has_the_texts_of_all_pages() -> None:
    assert CATALOGUE.read_text(encoding="utf-8") == catalogue(), "run `python -m api.dashboard.texts`"
    for text in ("Segments", "Employment type", "%(count)s details"):
        assert f'msgid "{text}"' in CATALOGUE.read_text(encoding="utf-8")


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.stem)
def test_no_text_is_outside_of_the_catalogue(template: Path) -> None:
    tokens = environment().lex(template.read_text(encoding="utf-8"))
    texts, is_translated = Texts(), False
    html = ""
    for _, kind, value in tokens:
        if kind == "name" and value in {"trans", "endtrans"}:
            is_translated = value == "trans"
        if kind == "data" and not is_translated:
            html += value
    # The macro for a field's attributes has no tag.
    texts.feed(re.sub(r' aria-[a-z]+="[^"<>]*"(?=[^<>]*<|$)', "", html) if template.stem == "macros" else html)
    left = [text for text in texts.found if set(text.split()) - ENGLISH_BY_NATURE and any(map(str.isalpha, text))]
    assert left == []


@pytest.mark.usefixtures("translated")
def test_pages_are_shown_in_the_language_of_a_translation(connected: Tenant) -> None:
    page = a_visitor(connected).visit("/segments").body.decode()
    assert '<html lang="de-AT">' in page
    assert "<h1>[Segmente]</h1>" in page
    assert "[Überblick]</a>" in page
    assert "Campaigns</a>" in page


def test_a_file_that_is_no_catalogue_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "de.po").write_text('msgid "Segments"\n', encoding="utf-8")
    for path in (tmp_path / "de.po", tmp_path / "missing.mo"):
        with pytest.raises(SettingsError, match="Make one with msgfmt"):
            use_translation(path)
