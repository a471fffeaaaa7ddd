"""Runs with dagster-community-components alone: `component.py API_ROOT KEY LIST BATCHES RESULT` upserts members.

It writes the seconds of the asset. What does not belong here: anything of this project.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

_PACKAGE = "dagster_community_components"


def _main(api_root: str, key: str, list_id: str, batches: str, result: str) -> None:
    # Not imports of the project's: they are in this script's environment only.
    dagster: Any = importlib.import_module("dagster")
    members: Any = importlib.import_module(f"{_PACKAGE}.assets.reverse_etl.mailchimp_member_upsert.component")
    account: Any = importlib.import_module(f"{_PACKAGE}.resources.mailchimp_resource.component")
    bodies = json.loads(Path(batches).read_text())
    rows = [{"email": each["email_address"], **each["merge_fields"]} for body in bodies for each in body["members"]]
    component = members.MailchimpMemberUpsertComponent(
        asset_name="members",
        source={"kind": "inline", "rows": rows},
        list_id=list_id,
        email_column="email",
        merge_fields_map={"FNAME": "FNAME", "LNAME": "LNAME"},
    )

    def url(_: Any, path: str) -> str:  # noqa: ANN401 - the component's own
        return f"{api_root}{path}"

    account.MailchimpResource._url = url  # noqa: SLF001 - it knows Mailchimp's own address only
    (asset,) = component.build_defs(None).assets
    begun = time.monotonic()
    dagster.materialize([asset], resources={"mailchimp": account.MailchimpResource(api_key=key)})
    Path(result).write_text(str(time.monotonic() - begun))


_main(*sys.argv[1:])
