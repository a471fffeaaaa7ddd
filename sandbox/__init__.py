"""A local implementation of the Mailchimp Marketing API v3, for the demo, development and tests.

The sandbox shares no definitions with the pipeline's client, so an error in one is not repeated in the other.
What does not belong here: anything the pipeline needs in production.
"""

from sandbox.control.members import Seed, StoredMember
from sandbox.model.behaviours import Behaviours
from sandbox.model.campaigns import CampaignStatus, Figures
from sandbox.model.faults import Fault, FaultKind
from sandbox.model.hooks import Hook
from sandbox.model.journal import CallEnded, CallStarted, JournalEntry, MemberChanged
from sandbox.model.members import ComplianceState, Status
from sandbox.model.recorder import Counts, Traffic
from sandbox.model.signup_limits import SignupLimit, SignupLimitKind
from sandbox.remote import SandboxControl
from sandbox.running import Sandbox, serve
from sandbox.setup import AccountSetup, AudienceSetup, Setup

__all__ = [
    "AccountSetup",
    "AudienceSetup",
    "Behaviours",
    "CallEnded",
    "CallStarted",
    "CampaignStatus",
    "ComplianceState",
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
    "Setup",
    "SignupLimit",
    "SignupLimitKind",
    "Status",
    "StoredMember",
    "Traffic",
    "serve",
]
