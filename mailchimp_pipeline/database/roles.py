"""The roles that work with the tables, and taking them on: PostgreSQL's policies on rows go by them.

`APP` sees and changes the rows of the organisation that the session names, `OVERVIEW` sees those of all and changes
none. Migrations make them (revision 0002); before it there are none, and sessions work as who they logged in as.
"""

from enum import StrEnum

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session


class DatabaseRole(StrEnum):
    """As whom a session works."""

    APP = "mailchimp_pipeline_app"
    OVERVIEW = "mailchimp_pipeline_overview"


# Roles belong to the server, and another database of it may have them where this one has not: so it goes by the table
# whose policies are made last. Asked in each transaction: it costs no round trip, and migrations come at any time.
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
    """Let the transaction see and change the rows of this organisation alone."""
    session.execute(_WORK_FOR, {"role": DatabaseRole.APP.value, "organisation_id": organisation_id})


def look_across(session: Session) -> None:
    """Let the transaction see the rows of all organisations, and change none."""
    session.execute(_TAKE_ON_FOR_TRANSACTION, {"role": DatabaseRole.OVERVIEW.value})


def see_nobody(connection: Connection) -> None:
    """Let the connection see no rows, as long as it lives: it is there for locks."""
    connection.execute(_TAKE_ON_FOR_SESSION, {"role": DatabaseRole.APP.value})
