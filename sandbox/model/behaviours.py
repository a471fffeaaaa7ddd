"""Settings for behaviour of Mailchimp that is undocumented, varies or takes time."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FAKE_DOMAINS = frozenset({"example.com", "example.org", "example.net"})


class Behaviours(BaseModel):
    """The settings, which apply to all accounts. Durations are real time, independent of the sandbox's clock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clock_ahead_seconds: float = Field(
        default=0, description="How far Mailchimp's clock is ahead: in all times it tells, and in the header Date."
    )
    latency_ms: float = Field(default=0, ge=0, description="Every answer takes this long.")
    latency_per_contact_ms: float = Field(default=0, ge=0, description="A batch takes this much longer per contact.")
    connection_limit: int = Field(default=10, ge=1, description="Calls of one account that may be under way at once.")
    throttle_with_body: bool = Field(default=True, description="A 429 has a problem document, not an empty body.")
    retry_after_seconds: int | None = Field(default=None, description="Retry-After of a 429; Mailchimp sends none.")
    fake_domains: frozenset[str] = Field(
        default=FAKE_DOMAINS, description="Domains, with those under them, that look fake."
    )
    bursty_addresses: frozenset[str] = Field(default=frozenset(), description="Addresses with too many recent signups.")
    refuse_role_addresses: bool = Field(default=False, description="Refuse abuse@, noreply@ and their like.")
    compliance_in_batch: Literal["error", "ignored"] = Field(
        default="error",
        description="A batch answers for a member in a compliance state in `errors`, or as if it had been updated.",
    )
    complaint_makes: Literal["unsubscribed", "cleaned"] = Field(
        default="unsubscribed", description="The status of a member that complained about spam."
    )
    duplicates_in_batch: Literal["error", "refuse_batch"] = Field(
        default="error",
        description="An address twice in a batch is an item of `errors`, or has the whole batch refused.",
    )
    archived_in_batch: Literal["returns", "exists"] = Field(
        default="returns",
        description="Without update_existing an archived member comes back, or counts as one that exists.",
    )
    batch_takes_tags: bool = Field(default=False, description="A batch honours the tags of its members.")
    webhooks_listed: Literal["in_pages", "all", "first_ten"] = Field(
        default="in_pages",
        description="Webhooks come in pages as other listings do, all at once, or no more than ten of them; only in "
        "pages may be asked for by count and offset.",
    )
    sign_webhooks: bool = Field(default=True, description="New webhooks get a signing secret.")
    hold_webhooks: bool = Field(
        default=False, description="Deliveries are kept for `take_webhooks`, and nobody is called."
    )
    webhook_retry_seconds: tuple[float, ...] = Field(
        default=(60, 240, 900, 3300),
        description="Pauses before each repetition of a delivery that was not answered with success.",
    )
    webhook_timeout_seconds: float = Field(default=10, gt=0, description="How long a delivery waits for its answer.")
