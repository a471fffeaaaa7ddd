"""Whether this is a checkout of the repository: the sandbox is there, and not in the installed package."""

from importlib.util import find_spec

from mailchimp_pipeline.errors import PermanentError


class NotACheckout(PermanentError):
    """The command needs the sandbox, which is a part of the repository and not of the installed package."""

    def __init__(self) -> None:
        super().__init__(
            "This command needs the Mailchimp sandbox, which is not a part of the installed package. Run it from a "
            "checkout of the repository: `make demo`, `make dev`, or `.venv/bin/mailchimp-pipeline sandbox`."
        )


def require_sandbox() -> None:
    """Raise `NotACheckout` where the sandbox is not installed."""
    if find_spec("sandbox") is None:
        raise NotACheckout
