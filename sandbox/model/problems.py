"""What Mailchimp refuses, in Mailchimp's own words: one constructor for each refusal that has a text of its own.

What does not belong here: deciding when to refuse (`enrolment`, `audiences`, `web`).
"""

from dataclasses import dataclass

INVALID_RESOURCE = "Invalid Resource"
MERGE_FIELDS = "Your merge fields were invalid."
SCHEMA = "The resource submitted could not be validated. For field-specific details, see the 'errors' array."
TYPE_URL = "https://mailchimp.com/developer/marketing/docs/errors/"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One entry of a problem's `errors`."""

    field: str
    message: str


class Problem(Exception):
    """A refusal. Its text holds an address where Mailchimp's does, so it is only ever answered, never logged."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *errors: FieldError,
        typed: bool = True,
        allow: tuple[str, ...] = (),
    ) -> None:
        """Make a refusal; `typed` says whether the document has a `type`, `allow` what a 405 allows."""
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = errors
        self.typed = typed
        self.allow = allow

    def document(self, instance: str) -> dict[str, object]:
        """Return the body of an `application/problem+json` answer."""
        body: dict[str, object] = {"type": TYPE_URL} if self.typed else {}
        body |= {"title": self.title, "status": self.status, "detail": self.detail, "instance": instance}
        if self.errors:
            body["errors"] = [{"field": error.field, "message": error.message} for error in self.errors]
        return body


def key_missing() -> Problem:
    """Return the refusal of a request without credentials."""
    return Problem(401, "API Key Missing", "Your request did not include an API key.")


def key_invalid() -> Problem:
    """Return the refusal of a key that is unknown or was revoked."""
    detail = "Your API key may be invalid, or you've attempted to access the wrong datacenter."
    return Problem(401, "API Key Invalid", detail)


def user_disabled() -> Problem:
    """Return the refusal of a deactivated account."""
    return Problem(403, "User Disabled", "This account has been deactivated.")


def forbidden() -> Problem:
    """Return the refusal of a role that does not reach."""
    return Problem(403, "Forbidden", "You don't have permission to access this resource.")


def not_found() -> Problem:
    """Return the refusal of what does not exist, or not in this account."""
    return Problem(404, "Resource Not Found", "The requested resource could not be found.")


def method_not_allowed(*allow: str) -> Problem:
    """Return the refusal of a path that exists with other methods."""
    detail = (
        "The requested method and resource are not compatible. "
        "See the Allow header for this resource's available methods."
    )
    return Problem(405, "Method Not Allowed", detail, allow=allow)


def cannot_archive() -> Problem:
    """Return the refusal to archive a member."""
    detail = "This list member cannot be removed. Can not archive a contact that is bounced, pending or archived"
    return Problem(405, "Method Not Allowed", detail, allow=("GET", "PUT"))


def too_many_connections(limit: int) -> Problem:
    """Return the refusal of more calls at once than an account may have."""
    return Problem(429, "Too Many Requests", f"You have exceeded the limit of {limit} simultaneous connections.")


def internal() -> Problem:
    """Return what Mailchimp says when it broke."""
    detail = "An unexpected internal error has occurred. Please contact Support for more information."
    return Problem(500, "Internal Server Error", detail)


def unreadable_json() -> Problem:
    """Return the refusal of a body that is not JSON."""
    return Problem(400, "JSON Parse Error", "We encountered an unspecified JSON parsing error.")


def invalid(detail: str, *errors: FieldError) -> Problem:
    """Return a refusal in the given words."""
    return Problem(400, INVALID_RESOURCE, detail, *errors)


def invalid_schema(*errors: FieldError) -> Problem:
    """Return the refusal of fields of the body or the query that have a wrong form."""
    return invalid(SCHEMA, *errors)


def invalid_merge_fields(*errors: FieldError) -> Problem:
    """Return the refusal of merge fields that are missing or of a wrong form."""
    return invalid(MERGE_FIELDS, *errors)


def invalid_address() -> Problem:
    """Return the refusal of an address that is none by its syntax."""
    return invalid("Please provide a valid email address.")


def looks_fake(address: str) -> Problem:
    """Return the refusal of an address that Mailchimp takes for made up."""
    return invalid(f"{address} looks fake or invalid, please enter a real email address.")


def too_many_signups(address: str) -> Problem:
    """Return the refusal of an address signed up too often lately; asking again later may work."""
    return invalid(
        f"{address} has signed up to a lot of lists very recently; we're not allowing more signups for now",
    )


def too_many_requests(address: str) -> Problem:
    """Return the other refusal of an address signed up too often lately."""
    return invalid(f'Recipient "{address}" has too many recent signup requests')


def role_address(address: str) -> Problem:
    """Return the refusal of an address that belongs to a role (a behaviour, off by default)."""
    return invalid(f"{address} is a role-based address and cannot be imported.")


def member_exists(address: str) -> Problem:
    """Return the refusal of an address the audience has already."""
    detail = f"{address} is already a list member. Use PUT to insert or update list members."
    return Problem(400, "Member Exists", detail, typed=False)


def compliance_state(address: str) -> Problem:
    """Return the refusal of a contact that left by themselves, bounced, or is under review."""
    detail = (
        f"{address} is in a compliance state due to unsubscribe, bounce, or compliance review and cannot be subscribed."
    )
    return Problem(400, "Member In Compliance State", detail, typed=False)


def forgotten(address: str) -> Problem:
    """Return the refusal of a contact that was deleted permanently: only they can come back."""
    detail = (
        f"{address} was permanently deleted and cannot be re-imported. "
        "The contact must re-subscribe to get back on the list."
    )
    return Problem(400, "Forgotten Email Not Subscribed", detail, typed=False)
