"""The base class of the control operations."""

from sandbox.model.state import SandboxState
from sandbox.webhook_sender import WebhookSender


class Operations:
    """Control operations on one sandbox."""

    def __init__(self, state: SandboxState, sender: WebhookSender) -> None:
        """Operate on this sandbox."""
        self._state = state
        self._sender = sender
