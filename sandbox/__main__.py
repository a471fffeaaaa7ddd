"""The command `python -m sandbox --port 8900`."""

import argparse
import sys
from contextlib import suppress
from pathlib import Path

from sandbox.running import Sandbox, serve
from sandbox.setup import AccountSetup, AudienceSetup, Setup

DEFAULT_PORT = 8900


def main(arguments: list[str] | None = None) -> None:
    """Run the command with these arguments, or with those of the process."""
    given = _parser().parse_args(arguments)
    setup = Setup.model_validate_json(given.setup.read_bytes()) if given.setup else Setup()
    accounts = (*setup.accounts, *(AccountSetup(key=key, audiences=(AudienceSetup(),)) for key in given.key))
    latency = {"latency_ms": given.latency_ms, "latency_per_contact_ms": given.latency_per_contact_ms}
    behaviours = setup.behaviours.model_copy(update={k: v for k, v in latency.items() if v is not None})
    wanted = setup.model_copy(update={"accounts": accounts, "behaviours": behaviours})
    with suppress(KeyboardInterrupt):
        serve(given.port, wanted, on_ready=_print_api_root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A local Mailchimp Marketing API on loopback."
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 selects a free port")
    parser.add_argument("--latency-ms", type=float, help="duration of every answer")
    parser.add_argument("--latency-per-contact-ms", type=float, help="additional duration of a batch per contact")
    parser.add_argument("--key", action="append", default=[], help="create an account and an audience for this key")
    parser.add_argument("--setup", type=Path, help="a JSON file with accounts, behaviours and faults")
    return parser


def _print_api_root(sandbox: Sandbox) -> None:
    sys.stdout.write(f"MAILCHIMP_API_ROOT={sandbox.api_root}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
