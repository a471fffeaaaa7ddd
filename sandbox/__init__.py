"""A local implementation of the Mailchimp Marketing API v3, for the demo, development and tests.

The sandbox shares no definitions with the pipeline's client, so an error in one is not repeated in the other.
What does not belong here: anything the pipeline needs in production.
"""

from sandbox.control.people import Seed, SeenMember
from sandbox.model.behaviours import Behaviours
from sandbox.model.campaigns import CampaignStatus, Figures
from sandbox.model.faults import Fault, FaultKind
from sandbox.model.hooks import Hook
from sandbox.model.journal import CallCame, CallEnded, JournalEntry, MemberChanged
from sandbox.model.members import Bar, Status
from sandbox.model.recorder import Counts, Traffic
from sandbox.model.signup_limits import SignupLimit, SignupLimitKind
from sandbox.remote import SandboxControl
from sandbox.running import Sandbox, serve
from sandbox.setup import AccountSetup, AudienceSetup, Setup

__all__ = [
    "AccountSetup",
    "AudienceSetup",
    "Bar",
    "Behaviours",
    "CallCame",
    "CallEnded",
    "CampaignStatus",
    "Counts",
    "Fault",
    "FaultKind",
    "Figures",
    "Hook",
    "JournalEntry",
    "MemberChanged",
    "Sandbox",
    "SandboxControl",
    "Seed",
    "SeenMember",
    "Setup",
    "SignupLimit",
    "SignupLimitKind",
    "Status",
    "Traffic",
    "serve",
]
