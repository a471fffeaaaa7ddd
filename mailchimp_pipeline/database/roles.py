"""The database roles that row-level security uses, and switching to them.

`APP` reads and writes rows of the session's organisation. `OVERVIEW` reads rows of all organisations. The migration
0002 creates the roles; before it, sessions keep the role of the login.
"""

from enum import StrEnum

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session


class DatabaseRole(StrEnum):
    """The role of a session."""

    APP = "mailchimp_pipeline_app"
    OVERVIEW = "mailchimp_pipeline_overview"


# A server's roles may come from another database, so the check looks at the last table that gets a policy. It is part
# of each transaction, because migrations can run at any time, and needs no extra round trip.
_TAKE_ON = """
select set_config('role', case when (
        select relrowsecurity from pg_catalog.pg_class where oid = to_regclass('audit_log')
    ) then :role else 'none' end, :for_transaction)
"""
_TAKE_ON_FOR_TRANSACTION = text(_TAKE_ON.replace(":for_transaction", "true"))
_TAKE_ON_FOR_SESSION = text(_TAKE_ON.replace(":for_transaction", "false"))
_WORK_FOR = text(
    _TAKE_ON.replace(":for_transaction", "true").rstrip()
    + ", set_config('mailchimp_pipeline.organisation_id', :organisation_id, true)"
)


def work_for(session: Session, organisation_id: str) -> None:
    """Restrict the transaction to reading and writing the rows of this organisation."""
    session.execute(_WORK_FOR, {"role": DatabaseRole.APP.value, "organisation_id": organisation_id})


def look_across(session: Session) -> None:
    """Allow the transaction to read the rows of all organisations, and to write none."""
    session.execute(_TAKE_ON_FOR_TRANSACTION, {"role": DatabaseRole.OVERVIEW.value})


def see_nobody(connection: Connection) -> None:
    """Hide all rows from the connection, which is used for locks only."""
    connection.execute(_TAKE_ON_FOR_SESSION, {"role": DatabaseRole.APP.value})
