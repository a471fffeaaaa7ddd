"""The types of the API's procedures as the file that TypeScript clients copy; `python -m api.app_router` writes it.

What does not belong here: how types are written (`typescript`).
"""

from pathlib import Path

from api.procedures.registry import PROCEDURES
from api.typescript import typescript

PATH = Path(__file__).with_name("app-router.d.ts")


def app_router_types() -> str:
    """Return the file's text, made of the procedures as they are now."""
    return typescript(PROCEDURES)


def write() -> Path:
    """Bring the file to the procedures as they are now, and return its path."""
    PATH.write_text(app_router_types(), encoding="utf-8")
    return PATH


if __name__ == "__main__":
    write()
