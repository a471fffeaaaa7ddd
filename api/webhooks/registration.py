"""Has Mailchimp call us when members change: webhooks made when an organisation connects, removed when it leaves.

Best effort: without them an audience is read before each push all the same. What could not be done stands in the
audit log, and is tried again when the organisation connects again. What does not belong here: taking calls.
"""

import hmac
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Concatenate, ParamSpec

from api.logs import logger
from api.procedures.context import Context
from api.webhooks.receiver import PATH
from mailchimp_pipeline.assembly import NotConnected
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.connections import ConnectionStore
from mailchimp_pipeline.database.encryption import SecretUnreadable
