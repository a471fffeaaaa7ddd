"""Webhooks made and removed at Mailchimp, and its own calls that come of them."""

from collections.abc import Sequence

import pytest

from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.preferences import PreferenceStore
from mailchimp_pipeline.database.tables import AudienceMemberRow
from mailchimp_pipeline.database.webhooks import WebhookStore
from mailchimp_pipeline.sandbox import Fault, FaultKind, Sandbox, Seed
from mailchimp_pipeline.sandbox.model.webhooks import Webhook
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.database.builders import a_member, put_members
from mailchimp_pipeline_tests.webhooks.calls import ANN, BOB
