"""HTML from templates: the Jinja environment, its filters, and the headers of a page."""

from collections.abc import Mapping
from datetime import UTC, datetime
from gettext import GNUTranslations
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from mailchimp_pipeline.settings import SettingsError

_FOLDER = Path(__file__).parent

STATIC, TEMPLATES = _FOLDER / "static", _FOLDER / "templates"

HEADERS: Mapping[str, str] = {
    # Nothing from another host, and no inline script or style, so that injected HTML cannot run anything.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # A URL may have a sign-in token. With `no-referrer`, browsers would send forms with the origin `null`.
    "referrer-policy": "strict-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}
"""The headers of every page."""


def render(template: str, status: int = 200, **values: object) -> HTMLResponse:
    """Return the page of a template."""
    return HTMLResponse(_environment.get_template(template).render(values), status, HEADERS)


def _time(iso: str) -> Markup:
    """Return a time in UTC, which the script changes to the reader's time zone. `iso` is a time of the API."""
    moment = datetime.fromisoformat(iso).astimezone(UTC)
    # A thin "UTC" at the end, so that nobody takes it for local time without the script.
    return Markup('<time datetime="{}" title="{} UTC">{} UTC</time>').format(
        f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"{moment:%Y-%m-%d %H:%M:%S}", f"{moment:%d %b %Y, %H:%M}"
    )


def _number(value: float) -> Markup:
    """Return the HTML of a number. The page's script formats it for the reader's language."""
    return Markup('<data value="{}">{}</data>').format(value, f"{value:,}")


def _percent(share: float) -> Markup:
    """Return a share between 0 and 1 as a percentage."""
    return Markup('<data value="{}" class="percent">{}</data>').format(share, f"{share:.1%}")


def _lines(values: list[str]) -> str:
    return "\n".join(values)


def use_translation(catalogue: Path | None) -> None:
    """Show all pages of this process in the language of a compiled gettext catalogue (`.mo`); None is English.

    Texts that the catalogue does not have stay English. Raises `SettingsError` if the file is no readable catalogue.
    """
    global _environment  # noqa: PLW0603 - a process has one language
    made = environment()
    if catalogue is not None:
        try:
            with catalogue.open("rb") as file:
                translations = GNUTranslations(file)
        except (OSError, UnicodeError) as error:
            raise SettingsError(
                "MAILCHIMP_PIPELINE_DASHBOARD_TRANSLATION names no compiled gettext catalogue that can be read: "
                f"{type(error).__name__}. Make one with msgfmt."
            ) from error
        made.install_gettext_translations(translations, newstyle=True)
        made.globals["language"] = translations.info().get("language", "en").replace("_", "-")
    _environment = made


def environment() -> Any:  # noqa: ANN401 - Jinja's, with the methods of its extension
    """Return a new environment of the templates, in English."""
    made: Any = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        # An upgrade that replaces the files must not mix templates of two versions.
        auto_reload=False,
    )
    made.policies["ext.i18n.trimmed"] = True
    made.install_null_translations(newstyle=True)
    made.globals["language"] = "en"
    made.filters |= {"time": _time, "number": _number, "percent": _percent, "lines": _lines}
    return made


_environment = environment()
