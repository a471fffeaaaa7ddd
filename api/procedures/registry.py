"""All procedures of the API: only these are served, typed and documented."""

from api.procedures import audit, campaigns, connection, contacts, erasure, past_syncs, preferences, segments
from api.procedures.context import Context
from api.trpc import Procedures

PROCEDURES: Procedures[Context] = Procedures(
    connection.router,
    segments.router,
    past_syncs.router,
    campaigns.router,
    contacts.router,
    preferences.router,
    erasure.router,
    audit.router,
)
