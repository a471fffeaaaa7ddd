"""Settings for behaviour of Mailchimp that is undocumented, varies or takes time."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FAKE_DOMAINS = frozenset({"example.com", "example.org", "example.net"})


class Behaviours(BaseModel):
    """The settings, which apply to all accounts. Durations are real time, independent of the sandbox's clock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clock_ahead_seconds: float = Field(
        default=0, description="How far Mailchimp's clock is ahead, in all times and in the header Date."
    )
    latency_ms: float = Field(default=0, ge=0, description="The duration of every answer.")
    latency_per_contact_ms: float = Field(
        default=0, ge=0, description="The additional duration of a batch per contact."
    )
    connection_limit: int = Field(default=10, ge=1, description="The maximum number of concurrent calls of an account.")
    throttle_with_body: bool = Field(default=True, description="Whether a 429 has a problem document or an empty body.")
    retry_after_seconds: int | None = Field(default=None, description="Retry-After of a 429; Mailchimp sends none.")
    fake_domains: frozenset[str] = Field(
        default=FAKE_DOMAINS, description="Domains that look fake, including their subdomains."
    )
    bursty_addresses: frozenset[str] = Field(default=frozenset(), description="Addresses with too many recent signups.")
    refuse_role_addresses: bool = Field(default=False, description="Reject role addresses such as abuse@.")
    compliance_in_batch: Literal["error", "ignored"] = Field(
        default="error",
        description="Whether a batch reports members in a compliance state as errors or as updated.",
    )
    complaint_makes: Literal["unsubscribed", "cleaned"] = Field(
        default="unsubscribed", description="The status of a member after a spam complaint."
    )
    duplicates_in_batch: Literal["error", "refuse_batch"] = Field(
        default="error",
        description="Whether a duplicate address is an item of `errors`, or rejects the whole batch.",
    )
    archived_in_batch: Literal["returns", "exists"] = Field(
        default="returns",
        description="Whether a batch without update_existing resubscribes an archived member, or reports it.",
    )
    batch_takes_tags: bool = Field(default=False, description="Whether a batch sets tags.")
    webhooks_listed: Literal["in_pages", "all", "first_ten"] = Field(
        default="in_pages",
        description="Whether webhooks are listed in pages, all at once, or only the first ten. Only pages accept "
        "count and offset.",
    )
    sign_webhooks: bool = Field(default=True, description="Whether new webhooks get a signing secret.")
    hold_webhooks: bool = Field(default=False, description="Whether to hold deliveries for `take_webhooks`.")
    webhook_retry_seconds: tuple[float, ...] = Field(
        default=(60, 240, 900, 3300),
        description="The pause before each retry of a failed delivery.",
    )
    webhook_timeout_seconds: float = Field(default=10, gt=0, description="The time-out of a delivery.")
