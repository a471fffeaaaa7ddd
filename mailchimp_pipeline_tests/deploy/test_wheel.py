"""The wheel contains the pipeline and its API. Commands that need a checkout say so."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from mailchimp_pipeline.settings import PROJECT_ROOT

RUN = """
import sys
from pathlib import Path
sys.path = [sys.argv.pop(1), *(path for path in sys.path if not Path(path, "sandbox").is_dir())]
from mailchimp_pipeline.cli import app
app()
"""


@pytest.fixture(scope="module")
def installed_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the installed wheel."""
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)]
    subprocess.run(build, cwd=PROJECT_ROOT, check=True, capture_output=True)
    (wheel,) = directory.glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(directory / "installed")
    return directory / "installed"


def test_the_wheel_holds_the_pipeline_and_its_api(installed_wheel: Path) -> None:
    assert {path.name for path in installed_wheel.iterdir() if path.suffix != ".dist-info"} == {
        "api",
        "mailchimp_pipeline",
    }


@pytest.mark.parametrize("command", ["demo", "dev", "sandbox"])
def test_a_command_that_needs_the_sandbox_says_that_it_needs_a_checkout(installed_wheel: Path, command: str) -> None:
    refused = subprocess.run(
        [sys.executable, "-c", RUN, str(installed_wheel), command],
        cwd=installed_wheel,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("NotACheckout: ")
    assert "from a checkout of the repository" in refused.stderr
