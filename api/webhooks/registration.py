"""The registration of webhooks (`mailchimp_pipeline.registration`) for the caller of a procedure."""

from api.procedures.context import Context
from mailchimp_pipeline.registration import Registration


def registration(context: Context) -> Registration:
    """Return the registration for the caller's organisation."""
    return Registration(
        organisation_id=context.organisation_id,
        actor=context.actor,
        public_url=context.parts.settings.public_url,
        database=context.parts.database,
        keyring=context.parts.keyring,
        clock=context.clock,
        mailchimp=context.mailchimp,
    )
