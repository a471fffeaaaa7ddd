"""Control operations for tests and the demo: set up accounts, act as a contact or admin, inject faults, read counts.

What does not belong here: HTTP (`web.control`), Mailchimp's rules (`model`).
"""

from sandbox.control.accounts import AccountControls
from sandbox.control.campaigns import CampaignControls
from sandbox.control.members import MemberControls
from sandbox.control.traffic import TrafficControls


class Controls(AccountControls, MemberControls, CampaignControls, TrafficControls):
    """All control operations. Each takes the sandbox's lock, so any thread may call it."""


__all__ = ["Controls"]
