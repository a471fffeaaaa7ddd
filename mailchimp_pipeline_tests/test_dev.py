"""`mailchimp-pipeline dev` as a whole: everything comes up, and Ctrl-C ends all of it."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from mailchimp_pipeline.local_stack import free_port, installed
from mailchimp_pipeline_tests.process_table import is_running
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS, START_SECONDS, eventually


@contextmanager
def developing(home: Path) -> Generator[subprocess.Popen[bytes]]:
    """Run the command; what it prints is in `home/printed`."""
    with (home / "printed").open("wb") as printed:
        process = subprocess.Popen([installed("mailchimp-pipeline"), "dev"], stdout=printed, stderr=printed)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(2 * PATIENCE_SECONDS)


def printed_before_it_stays(home: Path, process: subprocess.Popen[bytes]) -> str:
    def text_if_it_stays() -> str:
        text = (home / "printed").read_text()
        assert process.poll() is None, text
        return text if "Ctrl-C ends all of it." in text else ""

    return eventually(text_if_it_stays, START_SECONDS)


def kept_settings(home: Path) -> dict[str, str]:
    """Return the settings of a process that is told nothing but where local state is."""
    code = """
import json
from mailchimp_pipeline.assembly import complete_settings
with complete_settings() as settings:
    print(json.dumps(settings.environment()))
"""
    environment = {"MAILCHIMP_PIPELINE_HOME": str(home)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, cwd=home, check=True, capture_output=True)
    return json.loads(run.stdout)


@pytest.mark.slow
def test_everything_comes_up_and_ctrl_c_ends_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = {name: free_port() for name in ("UI", "API", "SANDBOX")}
    with TemporaryDirectory(prefix="dev-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        monkeypatch.chdir(home)
        monkeypatch.setenv("MAILCHIMP_PIPELINE_HOME", directory)
        for name, port in ports.items():
            monkeypatch.setenv(f"MAILCHIMP_PIPELINE_{name}_PORT", str(port))
        with developing(home) as process:
            text = printed_before_it_stays(home, process)
            children = psutil.Process(process.pid).children(recursive=True)
            assert [name for name, port in ports.items() if f"http://127.0.0.1:{port}" not in text] == []
            urllib.request.urlopen(f"http://127.0.0.1:{ports['UI']}/server_info", timeout=PATIENCE_SECONDS).close()
            process.send_signal(signal.SIGINT)
            assert process.wait(2 * PATIENCE_SECONDS) == 0
        found = {name: kept_settings(home)[name] for name in ("MAILCHIMP_API_ROOT", "MAILCHIMP_PIPELINE_SOURCE")}
    assert found == {
        "MAILCHIMP_API_ROOT": f"http://127.0.0.1:{ports['SANDBOX']}/3.0",
        "MAILCHIMP_PIPELINE_SOURCE": str(home / "sample"),
    }
    assert len(children) >= 4
    eventually(lambda: not any(map(is_running, children)))
