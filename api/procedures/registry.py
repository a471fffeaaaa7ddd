"""All procedures of the API: what is not listed here is not served, typed or documented."""

from api.procedures import audit, campaigns, connection, erasure, preferences, segments
from api.procedures.context import Context
from api.trpc import Procedures

PROCEDURES: Procedures[Context] = Procedures(
    connection.router,
    segments.router,
    campaigns.router,
    preferences.router,
    erasure.router,
    audit.router,
)
