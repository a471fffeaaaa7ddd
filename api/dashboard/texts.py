"""The texts of the dashboard's pages. `python -m api.dashboard.texts` writes them to `texts.pot`, for translators."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from api.dashboard.pages import CRITERIA
from api.dashboard.rendering import TEMPLATES, environment
from api.trpc import Role
from mailchimp_pipeline.campaigns import CampaignStatus
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.segments import SegmentStatus, SegmentType

CATALOGUE = Path(__file__).parent / "texts.pot"

_HEADER = """\
# The texts of the dashboard, for gettext. Written by `python -m api.dashboard.texts`.
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Language: en\\n"
"""


def catalogue() -> str:
    """Return the texts of all pages as a gettext template, sorted, each with the templates that have it."""
    places: dict[tuple[str, ...], set[str]] = {}
    for place, message in _messages(environment()):
        places.setdefault(message, set()).add(place)
    return "\n".join([_HEADER, *(_entry(message, sorted(places[message])) for message in sorted(places))])


def _messages(made: Any) -> Iterator[tuple[str, tuple[str, ...]]]:  # noqa: ANN401 - Jinja's
    """Yield each text with its place. A text with a number is two: singular and plural."""
    for template in sorted(TEMPLATES.glob("*.html")):
        for _, _, found in made.extract_translations(template.read_text(encoding="utf-8")):
            texts = cast("tuple[str | None, ...]", found if isinstance(found, tuple) else (found,))
            if message := tuple(text for text in texts if text):
                yield template.name, message
    for word in sorted({*CRITERIA.values(), *SegmentStatus, *SegmentType, *EntityType, *CampaignStatus, *Role}):
        yield "values of the API", (str(word),)


def _entry(message: tuple[str, ...], places: list[str]) -> str:
    names = ("msgid", "msgid_plural")
    lines = [f"#: {', '.join(places)}"]
    if any("%(" in text for text in message):
        lines.append("#, python-format")
    lines += [f"{name} {json.dumps(text, ensure_ascii=False)}" for name, text in zip(names, message, strict=False)]
    lines += ['msgstr ""'] if len(message) == 1 else ['msgstr[0] ""', 'msgstr[1] ""']
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    CATALOGUE.write_text(catalogue(), encoding="utf-8")
