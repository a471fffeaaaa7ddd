"""The routes for the account and its audiences: ping, account, lists, batch subscribe."""

from dataclasses import asdict
from typing import cast

from pydantic import BaseModel, ConfigDict

from sandbox.model import batches
from sandbox.model.accounts import Account
from sandbox.model.addresses import address_hash
from sandbox.model.audiences import Audience
from sandbox.model.campaigns import CampaignStatus
from sandbox.model.journal import RequestedMember
from sandbox.model.members import Status
from sandbox.web import samples
from sandbox.web.endpoints import Answer, Call, Endpoint
from sandbox.web.list_shapes import audience_shape
from sandbox.web.member_shapes import batch_member_shape, moment
from sandbox.web.queries import FIELDS, PAGES

BATCH = "/lists/{list_id}"
"""The path template of batch subscribe."""

_LISTS = PAGES | {
    "since_date_created",
    "before_date_created",
    "email",
    "sort_field",
    "sort_dir",
    "include_total_contacts",
}
_BATCH = frozenset({"skip_merge_validation", "skip_duplicate_check"})
_LIST_LIMIT = 100


class BatchBody(BaseModel):
    """The body of a batch. Members are parsed one by one, since each may fail on its own."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    members: list[object]
    update_existing: bool = False
    sync_tags: bool = False


def ping(_call: Call) -> Answer:
    """GET /ping."""
    return Answer({"health_status": "Everything's Chimpy!"})


def account(call: Call) -> Answer:
    """GET /."""
    shape = _account_shape(call.account)
    shape["last_login"] = moment(call.state.now())
    return Answer(shape)


def lists(call: Call) -> Answer:
    """GET /lists."""
    since, before = call.query.moment("since_date_created"), call.query.moment("before_date_created")
    address = call.query.text("email")
    found = [
        audience
        for audience in call.account.audiences.values()
        if (since is None or audience.created_at > since)
        and (before is None or audience.created_at < before)
        and (address is None or address_hash(address) in audience.members)
    ]
    call.query.choice("sort_field", ("date_created",))
    if call.query.is_descending():
        found.reverse()
    body = {
        "lists": [_shape(call, audience) for audience in call.query.page(found)],
        "total_items": len(found),
        "constraints": {
            "may_create": True,
            "max_instances": _LIST_LIMIT,
            "current_total_instances": len(call.account.audiences),
        },
        "_links": [],
    }
    return Answer(body)


def one_list(call: Call) -> Answer:
    """GET /lists/{list_id}."""
    return Answer(_shape(call, call.audience))


def batch_subscribe(call: Call) -> Answer:
    """POST /lists/{list_id}."""
    audience = call.audience
    batch = call.parse(BatchBody)
    writer = call.state.member_writer(audience, skip_merge_validation=call.query.flag("skip_merge_validation"))
    options = batches.BatchOptions(batch.update_existing, batch.sync_tags, call.query.flag("skip_duplicate_check"))
    result = batches.subscribe(writer, batch.members, options)
    call.state.recorder.count_processed(call.account.id, audience.id, batch_hashes(call.body))
    body = {
        "new_members": [batch_member_shape(audience, member) for member in result.created],
        "updated_members": [batch_member_shape(audience, member) for member in result.updated],
        "errors": [asdict(rejected) for rejected in result.rejected],
        "total_created": len(result.created),
        "total_updated": len(result.updated),
        "error_count": len(result.rejected),
        "_links": [],
    }
    return Answer(body)


def batch_hashes(body: object) -> list[str]:
    """Return the subscriber hashes in the body of a batch, even if the body is invalid otherwise."""
    members = _of(body, "members")
    if not isinstance(members, list):
        return []
    addresses = (_of(member, "email_address") for member in cast("list[object]", members))
    return [address_hash(address) for address in addresses if isinstance(address, str)]


def requested_members(audience: Audience | None, key: str | None, body: object) -> list[RequestedMember]:
    """Return the members in a request: those of a batch, or the one in the path."""
    members = _of(body, "members")
    if isinstance(members, list):
        return [_requested(None, each) for each in cast("list[object]", members)]
    if key is None and _of(body, "email_address") is None:
        return []
    member = audience.find(key) if audience and key else None
    return [_requested(member.address if member else key, body)]


def _requested(address: str | None, body: object) -> RequestedMember:
    given = {name: _of(body, name) for name in ("email_address", "status", "status_if_new")}
    requested = {name: value for name, value in given.items() if isinstance(value, str)}
    return RequestedMember(address or requested.get("email_address", ""), **requested)


def _of(body: object, name: str) -> object:
    return cast("dict[str, object]", body).get(name) if isinstance(body, dict) else None


def _shape(call: Call, audience: Audience) -> dict[str, object]:
    campaigns = [c for c in call.account.campaigns.values() if c.list_id == audience.id]
    sent = [c.send_time for c in campaigns if c.status is CampaignStatus.SENT and c.send_time is not None]
    last_sent = moment(max(sent, default=None))
    total = call.query.flag("include_total_contacts")
    return audience_shape(audience, len(campaigns), last_sent, total_contacts=total)


def _account_shape(account: Account) -> dict[str, object]:
    return {
        "account_id": account.id,
        "login_id": account.id,
        "account_name": account.name,
        "email": "owner@acme.test",
        "first_name": "Olive",
        "last_name": "Owner",
        "username": "acme",
        "avatar_url": "",
        "role": account.role,
        "member_since": moment(account.created_at),
        "pricing_plan_type": "monthly",
        "first_payment": "",
        "account_timezone": "UTC",
        "account_industry": "",
        "contact": dict.fromkeys(("company", "addr1", "addr2", "city", "state", "zip", "country"), ""),
        "pro_enabled": False,
        "last_login": "",
        "total_subscribers": sum(audience.status_counts[Status.SUBSCRIBED] for audience in account.audiences.values()),
        "industry_stats": {"open_rate": 0, "bounce_rate": 0, "click_rate": 0},
        "_links": [],
    }


ENDPOINTS = (
    Endpoint("GET", "/ping", ping),
    Endpoint("GET", "/", account, query=FIELDS),
    Endpoint("GET", "/lists", lists, query=_LISTS, samples={"lists": samples.AUDIENCE}),
    Endpoint("GET", BATCH, one_list, query=FIELDS | {"include_total_contacts"}),
    Endpoint("POST", BATCH, batch_subscribe, query=_BATCH),
)
