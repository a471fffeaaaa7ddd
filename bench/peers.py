"""What others built, in environments of their own under `.local/bench`, made on first use.

What does not belong here: using them (the scripts that measure beside one).
"""

import shutil
import sys
from pathlib import Path

from mailchimp_pipeline.embedded.processes import foreign_environment, run
from mailchimp_pipeline.settings import PROJECT_ROOT

_HOME = PROJECT_ROOT / ".local" / "bench"
_INSTALLED = ".installed"


def python(name: str, *requirements: str) -> Path:
    """Return the Python of an environment with exactly these requirements and what they need."""
    home = _HOME / name
    if not _is_made(home, requirements):
        shutil.rmtree(home, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(home)], foreign_environment())
        run([str(home / "bin" / "pip"), "install", "--quiet", *requirements], foreign_environment())
        (home / _INSTALLED).write_text("\n".join(requirements))
    return home / "bin" / "python"


def node_modules(name: str, *packages: str) -> Path:
    """Return a directory whose `node_modules` has exactly these packages and what they need."""
    home = _HOME / name
    if not _is_made(home, packages):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (home / "package.json").write_text("{}")
        run(["npm", "install", "--silent", "--ignore-scripts", "--prefix", str(home), *packages], foreign_environment())
        (home / _INSTALLED).write_text("\n".join(packages))
    return home


def _is_made(home: Path, wanted: tuple[str, ...]) -> bool:
    stamp = home / _INSTALLED
    return stamp.exists() and stamp.read_text() == "\n".join(wanted)
