"""`mailchimp.connection`: the organisation's account at Mailchimp. No procedure returns the API key."""

from pydantic import SecretStr

from api.procedures.context import Context
from api.trpc import Role, Router, TRPCError, UtcTime, WireModel
from mailchimp_pipeline.connections import ApiKey, MalformedApiKey
from mailchimp_pipeline.database import connection_store
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.segment_store import summary
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.sync_request_store import SyncRequestStore
from mailchimp_pipeline.database.webhook_store import audiences_in_use
from mailchimp_pipeline.segments import SegmentStatus
from mailchimp_pipeline.services.resources import NotConnected

router: Router[Context] = Router("mailchimp.connection")


class ConnectInput(WireModel):
    """The API key of the account to connect."""

    api_key: SecretStr
    """Letters and digits, followed by the account's data centre, such as -us6."""


class WebhooksView(WireModel):
    """How many audiences report changes of their members at once."""

    audiences: int
    """The audiences that segments feed."""
    registered: int
    """Those of them that have a webhook at Mailchimp."""


class ConnectionView(WireModel):
    """The organisation's connection to its Mailchimp account."""

    id: str
    organisation_id: str
    account_id: str
    account_name: str
    data_center: str
    api_key_hint: str
    """The last characters of the API key."""
    sync_status: SegmentStatus
    """The worst status of the segments, from worst to best: error, syncing, pending, synced."""
    connected_at: UtcTime
    last_synced_at: UtcTime | None
    """When the last successful sync of a segment ended."""
    key_refused_at: UtcTime | None
    """When Mailchimp began to refuse the API key; null if it accepts the key."""
    webhooks: WebhooksView | None
    """Null if the API has no public URL for webhooks. Then each sync reads what changed at Mailchimp."""
    soft_deleted_at: UtcTime | None


class AudienceView(WireModel):
    """An audience of the account."""

    id: str
    name: str
    member_count: int
    double_optin: bool


@router.query("get")
def get(context: Context) -> ConnectionView | None:
    """Return the organisation's connection, or null if it has none."""
    with context.session() as session:
        found = ConnectionStore(session, context.parts.keyring).live()
        return found and _shown(context, session, found)


@router.mutation("connect", role=Role.ADMIN)
def connect(context: Context, wanted: ConnectInput) -> ConnectionView:
    """Connect the Mailchimp account of an API key. It replaces the organisation's previous connection.

    Raises CONFLICT if another organisation is connected to the account.
    """
    api_key = _parsed(wanted.api_key)
    context = context.in_time()
    with context.mailchimp_of(api_key) as mailchimp:
        account = mailchimp.account()
    verified = connection_store.Account(account.account_id, account.account_name, api_key)
    webhooks = context.webhook_registration()
    with context.session() as session:
        to_remove = webhooks.forget_webhooks(session, of_all_but=verified.id)
        store = ConnectionStore(session, context.parts.keyring)
        may_share = context.parts.settings.shared_accounts
        connected = store.connect(verified, by=context.actor, at=context.clock(), may_share=may_share)
        made = _shown(context, session, connected)
    webhooks.remove(to_remove, context.mailchimp_of)
    webhooks.register_all()
    return made


@router.mutation("disconnect", role=Role.ADMIN)
def disconnect(context: Context) -> ConnectionView:
    """End the connection and delete its API key. Segments and campaigns stay in the database.

    Requested syncs that have not begun fail. Raises PRECONDITION_FAILED if the organisation is not connected.
    """
    context = context.in_time()
    webhooks = context.webhook_registration()
    with context.session() as session:
        to_remove = webhooks.forget_webhooks(session)
        store = ConnectionStore(session, context.parts.keyring)
        ended = store.disconnect(by=context.actor, at=context.clock())
        if ended is None:
            raise NotConnected(context.organisation_id)
        SyncRequestStore(session).end_waiting(
            "The organisation disconnected Mailchimp before this sync began.", by=context.actor, at=context.clock()
        )
        shown = _shown(context, session, ended)
    webhooks.remove(to_remove, context.mailchimp_of)
    return shown


@router.query("listAudiences")
def list_audiences(context: Context) -> list[AudienceView]:
    """Return all audiences of the connected account, the oldest first."""
    with context.mailchimp() as mailchimp:
        return [AudienceView.model_validate(audience) for audience in mailchimp.audiences()]


def _parsed(text: SecretStr) -> ApiKey:
    try:
        # A key that was copied from a web page often has blanks around it.
        return ApiKey.parse(text.get_secret_value().strip())
    except MalformedApiKey as malformed:
        raise TRPCError("BAD_REQUEST", str(malformed), {"apiKey": [str(malformed)]}) from None


def _shown(context: Context, session: OrganisationSession, connection: connection_store.Connection) -> ConnectionView:
    segments, webhooks = summary(session), None
    if context.parts.settings.public_url is not None:
        audiences, missing = audiences_in_use(session), audiences_in_use(session, without_webhook=True)
        webhooks = WebhooksView(audiences=len(audiences), registered=len(audiences) - len(missing))
    return ConnectionView(
        id=connection.id,
        organisation_id=connection.organisation_id,
        account_id=connection.account_id,
        account_name=connection.account_name,
        data_center=connection.data_center,
        api_key_hint=connection.api_key_hint,
        sync_status=segments.status,
        connected_at=connection.connected_at,
        last_synced_at=segments.last_synced_at,
        key_refused_at=connection.key_refused_at,
        webhooks=webhooks,
        soft_deleted_at=connection.soft_deleted_at,
    )
