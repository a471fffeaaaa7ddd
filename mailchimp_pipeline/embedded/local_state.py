"""The files in `settings.home`: the encryption key, the token secret, and the URL of the sandbox of `make dev`.

Files and directories can be read by their owner only, whatever the umask is.
"""

import base64
import json
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal, TextIO

from mailchimp_pipeline.settings import VARIABLES, Settings, SettingsError

_DIRECTORY = 0o700
_FILE = 0o600


def private_directory(path: Path) -> Path:
    """Return the directory. A missing one is created with access for its owner only, an existing one keeps its mode."""
    # One by one, because `parents=True` sets the mode of the last directory only.
    for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
        missing.mkdir(mode=_DIRECTORY, exist_ok=True)
    return path


def state_directory(home: Path, name: str) -> Path:
    """Return the directory `name` in `home`, created if it is missing. In any case only its owner gets access."""
    path = private_directory(home / name)
    path.chmod(_DIRECTORY)
    return path


def open_private(path: Path, mode: Literal["a", "w"]) -> TextIO:
    """Open the file for appending or writing. A new file can be read and written by its owner only."""
    return open(path, mode, encoding="utf-8", opener=_opened)


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step, so that readers get either the old or the new content."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-", encoding="utf-8", delete=False) as draft:
        draft.write(text)
    Path(draft.name).replace(path)


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags, _FILE)


ENCRYPTION_KEYS_FILE = "encryption-keys"
TOKEN_SECRET_FILE = "token-secret"  # noqa: S105 - a file's name
SANDBOX_FILE = "sandbox.json"

_SECRET_BYTES = 32


def local_state(settings: Settings) -> Settings:
    """Return the settings, completed with values from files in `settings.home`. Missing files are created.

    If a database URL is set, nothing is read or created, because other machines with that database would not have the
    key. Raises `SettingsError` if a database URL is set without encryption keys, or if a file is damaged.
    """
    if settings.database_url:
        _require_encryption_keys(settings)
        return settings
    kept = _sandbox_of(settings)
    if not settings.encryption_keys:
        kept[VARIABLES["encryption_keys"]] = _kept(settings.home, ENCRYPTION_KEYS_FILE, _new_encryption_key)
    if not settings.token_secret and not settings.jwks_url:
        kept[VARIABLES["token_secret"]] = _kept(settings.home, TOKEN_SECRET_FILE, _new_secret)
    return Settings.from_environment(settings.environment() | kept)


def keep_sandbox(home: Path, api_root: str, sample: Path | None) -> None:
    """Store the URL of the sandbox, and the path of its sample data if it has any, for later commands."""
    kept = {VARIABLES["api_root"]: api_root} | ({VARIABLES["source"]: str(sample)} if sample else {})
    write_private(private_directory(home) / SANDBOX_FILE, json.dumps(kept) + "\n")


def _sandbox_of(settings: Settings) -> dict[str, str]:
    """Return the variables that `keep_sandbox` stored, by name. Empty if `MAILCHIMP_API_ROOT` is set.

    The sample data is left out if the settings have a source.
    """
    path = settings.home / SANDBOX_FILE
    if "api_root" in settings.model_fields_set or not path.exists():
        return {}
    try:
        kept: Mapping[str, object] = json.loads(path.read_text(encoding="utf-8"))
        found = {name: str(kept[name]) for name in (VARIABLES["api_root"], VARIABLES["source"]) if name in kept}
    except (ValueError, TypeError):
        raise SettingsError(f"{path} is damaged. Remove it; `make dev` writes it again.") from None
    return {name: text for name, text in found.items() if name != VARIABLES["source"] or settings.source is None}


def _require_encryption_keys(settings: Settings) -> None:
    if not settings.encryption_keys:
        raise SettingsError(
            f"{VARIABLES['database_url']} is set, but {VARIABLES['encryption_keys']} is not: Mailchimp API keys cannot "
            "be stored. Make a key with `openssl rand -base64 32`, set the variable to `1:` followed by that key "
            "for every process, and keep a copy: what it encrypted is lost with it."
        )


def _new_secret() -> str:
    return base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _new_encryption_key() -> str:
    return f"local:{_new_secret()}"


def _kept(home: Path, name: str, make: Callable[[], str]) -> str:
    path = private_directory(home) / name
    if not path.exists():
        _publish(path, make())
    # A copy from a backup may have another mode.
    path.chmod(0o600)
    text = path.read_text(encoding="utf-8").strip()
    if len(text) < _SECRET_BYTES:
        raise SettingsError(
            f"{path} is damaged. Restore it from a copy, or remove {home} to begin anew with an empty database."
        )
    return text


def _publish(path: Path, content: str) -> None:
    """Create the file with its content in one step. If another process has created it, that file stays."""
    # A link instead of O_EXCL, with which a second process could read an empty file.
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-", encoding="utf-8") as draft:
        draft.write(content + "\n")
        draft.flush()
        os.fsync(draft.fileno())
        with suppress(FileExistsError):
            os.link(draft.name, path)
