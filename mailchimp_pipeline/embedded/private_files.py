"""Files and directories that only their owner can read, whatever the umask is."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal, TextIO

_DIRECTORY = 0o700
_FILE = 0o600


def private_directory(path: Path) -> Path:
    """Return the directory, created for its owner only if it is missing. An existing one keeps its mode."""
    # One by one, because `parents=True` sets the mode of the last directory only.
    for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
        missing.mkdir(mode=_DIRECTORY, exist_ok=True)
    return path


def state_directory(home: Path, name: str) -> Path:
    """Return the directory `name` in `home`, for its owner only even if it existed with another mode."""
    path = private_directory(home / name)
    path.chmod(_DIRECTORY)
    return path


def open_private(path: Path, mode: Literal["a", "w"]) -> TextIO:
    """Open the file for appending or writing. A new file is for its owner only."""
    return open(path, mode, encoding="utf-8", opener=_opened)


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step, so that readers get either the old or the new content."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-", encoding="utf-8", delete=False) as draft:
        draft.write(text)
    Path(draft.name).replace(path)


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags, _FILE)
