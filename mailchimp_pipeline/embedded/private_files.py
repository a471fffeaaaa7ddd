"""Files and directories that nobody but their owner can read, whatever the umask is."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal, TextIO

_DIRECTORY = 0o700
_FILE = 0o600


def private_directory(path: Path) -> Path:
    """Return the directory, made if need be for its owner alone. One that exists keeps its mode."""
    # One by one: of what `parents=True` makes, only the last has the mode.
    for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
        missing.mkdir(mode=_DIRECTORY, exist_ok=True)
    return path


def state_directory(home: Path, name: str) -> Path:
    """Return the directory `name` of local state, for its owner alone also if it existed with another mode."""
    path = private_directory(home / name)
    path.chmod(_DIRECTORY)
    return path


def open_private(path: Path, mode: Literal["a", "w"]) -> TextIO:
    """Open the file to append to it or to write it anew, made if need be for its owner alone."""
    return open(path, mode, encoding="utf-8", opener=_opened)


def write_private(path: Path, text: str) -> None:
    """Write the file in one step over what is there: who reads it meanwhile has one of them whole."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-", encoding="utf-8", delete=False) as draft:
        draft.write(text)
    Path(draft.name).replace(path)


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags, _FILE)
