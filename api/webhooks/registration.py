"""The registration of webhooks (`mailchimp_pipeline.registration`), on behalf of who calls a procedure."""

from api.procedures.context import Context
from mailchimp_pipeline.registration import Registration


def registration(context: Context) -> Registration:
    """Return what makes and removes the webhooks of the caller's organisation."""
    return Registration(
        organisation_id=context.organisation_id,
        actor=context.actor,
        public_url=context.parts.settings.public_url,
        database=context.parts.database,
        keyring=context.parts.keyring,
        clock=context.clock,
        mailchimp=context.mailchimp,
    )
