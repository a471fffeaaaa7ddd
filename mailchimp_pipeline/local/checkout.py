"""Check for a checkout of the repository, which has the sandbox. The installed package does not have it."""

from importlib.util import find_spec

from mailchimp_pipeline.errors import PermanentError


class NotACheckout(PermanentError):
    """The command needs the sandbox, which is not in the installed package."""

    def __init__(self) -> None:
        super().__init__(
            "This command needs the Mailchimp sandbox, which is not a part of the installed package. Run it from a "
            "checkout of the repository: `make demo`, `make dev`, or `.venv/bin/mailchimp-pipeline sandbox`."
        )


def require_sandbox() -> None:
    """Raise `NotACheckout` if the sandbox is not available."""
    if find_spec("sandbox") is None:
        raise NotACheckout
