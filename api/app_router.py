"""The TypeScript file with the types of the procedures, for clients; `python -m api.app_router` writes it."""

from pathlib import Path

from api.procedures.registry import PROCEDURES
from api.typescript import typescript

PATH = Path(__file__).with_name("app-router.d.ts")


def app_router_types() -> str:
    """Return the text of the file for the current procedures."""
    return typescript(PROCEDURES)


def write() -> Path:
    """Write the file for the current procedures; return its path."""
    PATH.write_text(app_router_types(), encoding="utf-8")
    return PATH


if __name__ == "__main__":
    write()
