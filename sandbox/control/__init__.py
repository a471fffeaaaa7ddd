"""What tests and the demo do to a sandbox beside its API: set it up, act as people, make it fail, ask what it saw.

What does not belong here: HTTP (`web.control`), the rules (`model`).
"""

from sandbox.control.accounts import AccountControls
from sandbox.control.campaigns import CampaignControls
from sandbox.control.people import PeopleControls
from sandbox.control.traffic import TrafficControls


class Controls(AccountControls, PeopleControls, CampaignControls, TrafficControls):
    """All operations. Each takes the world's lock, so any thread may call it."""


__all__ = ["Controls"]
