"""HTML from templates: the Jinja environment, its filters, and the headers of a page."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

_FOLDER = Path(__file__).parent

STATIC = _FOLDER / "static"

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
    """Return a number, which the script formats as the reader's language does."""
    return Markup('<data value="{}">{}</data>').format(value, f"{value:,}")


def _percent(share: float) -> Markup:
    """Return a share between 0 and 1 as a percentage."""
    return Markup('<data value="{}" class="percent">{}</data>').format(share, f"{share:.1%}")


def _lines(values: list[str]) -> str:
    return "\n".join(values)


def _made() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        # An upgrade that replaces the files must not mix templates of two versions.
        auto_reload=False,
    )
    # Pages are in English. A translation installs gettext's instead.
    environment.policies["ext.i18n.trimmed"] = True
    made: Any = environment
    made.install_null_translations(newstyle=True)
    environment.filters |= {"time": _time, "number": _number, "percent": _percent, "lines": _lines}
    return environment


_environment = _made()
