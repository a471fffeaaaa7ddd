"""Runs with the official SDK alone: `sdk_loop.py API_ROOT KEY LIST BATCHES RESULT` sends batches, writes the seconds.

What does not belong here: anything of this project.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any


def _main(api_root: str, key: str, list_id: str, batches: str, result: str) -> None:
    # Not an import of the project's: the SDK is in this script's environment only.
    sdk: Any = importlib.import_module("mailchimp_marketing")
    client = sdk.Client({"api_key": key})
    client.api_client.host = api_root
    bodies = json.loads(Path(batches).read_text())
    begun = time.monotonic()
    for body in bodies:
        client.lists.batch_list_members(list_id, body)
    Path(result).write_text(str(time.monotonic() - begun))


_main(*sys.argv[1:])
