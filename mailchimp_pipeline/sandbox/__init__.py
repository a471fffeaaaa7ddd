"""A faithful Mailchimp Marketing API v3 on loopback, for the demo, development and tests.

It shares no definitions with the pipeline's own client, so that one cannot hide the other's mistakes.
What does not belong here: anything the pipeline needs in production.
"""

from mailchimp_pipeline.sandbox.control.people import Seed, SeenMember
from mailchimp_pipeline.sandbox.model.behaviours import Behaviours
from mailchimp_pipeline.sandbox.model.campaigns import CampaignStatus, Figures
from mailchimp_pipeline.sandbox.model.faults import Fault, FaultKind
from mailchimp_pipeline.sandbox.model.hooks import Hook
from mailchimp_pipeline.sandbox.model.journal import CallCame, CallEnded, JournalEntry, MemberChanged
from mailchimp_pipeline.sandbox.model.members import Bar, Status
from mailchimp_pipeline.sandbox.model.recorder import Counts, Traffic
from mailchimp_pipeline.sandbox.model.signup_limits import SignupLimit, SignupLimitKind
from mailchimp_pipeline.sandbox.remote import SandboxControl
from mailchimp_pipeline.sandbox.running import Sandbox, serve
from mailchimp_pipeline.sandbox.setup import AccountSetup, AudienceSetup, Setup

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
