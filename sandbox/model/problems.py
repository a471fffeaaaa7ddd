"""Mailchimp's error responses, with Mailchimp's texts: one constructor for each error."""

from dataclasses import dataclass

INVALID_RESOURCE = "Invalid Resource"
MERGE_FIELDS = "Your merge fields were invalid."
SCHEMA = "The resource submitted could not be validated. For field-specific details, see the 'errors' array."
TYPE_URL = "https://mailchimp.com/developer/marketing/docs/errors/"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One item in a problem's `errors`."""

    field: str
    message: str


class Problem(Exception):
    """An error response. Its text may contain an address, so it must not be logged."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *errors: FieldError,
        typed: bool = True,
        allow: tuple[str, ...] = (),
    ) -> None:
        """Create a problem. `typed` adds a `type` to the document, `allow` lists the methods for a 405."""
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = errors
        self.typed = typed
        self.allow = allow

    def document(self, instance: str) -> dict[str, object]:
        """Return the `application/problem+json` body."""
        body: dict[str, object] = {"type": TYPE_URL} if self.typed else {}
        body |= {"title": self.title, "status": self.status, "detail": self.detail, "instance": instance}
        if self.errors:
            body["errors"] = [{"field": error.field, "message": error.message} for error in self.errors]
        return body


def key_missing() -> Problem:
    """401: no credentials."""
    return Problem(401, "API Key Missing", "Your request did not include an API key.")


def key_invalid() -> Problem:
    """401: unknown or revoked key."""
    detail = "Your API key may be invalid, or you've attempted to access the wrong datacenter."
    return Problem(401, "API Key Invalid", detail)


def user_disabled() -> Problem:
    """403: deactivated account."""
    return Problem(403, "User Disabled", "This account has been deactivated.")


def forbidden() -> Problem:
    """403: the user's role does not allow it."""
    return Problem(403, "Forbidden", "You don't have permission to access this resource.")


def not_found() -> Problem:
    """404: the resource does not exist in this account."""
    return Problem(404, "Resource Not Found", "The requested resource could not be found.")


def method_not_allowed(*allow: str) -> Problem:
    """405: the path exists with other methods."""
    detail = (
        "The requested method and resource are not compatible. "
        "See the Allow header for this resource's available methods."
    )
    return Problem(405, "Method Not Allowed", detail, allow=allow)


def cannot_archive() -> Problem:
    """405: the member cannot be archived."""
    detail = "This list member cannot be removed. Can not archive a contact that is bounced, pending or archived"
    return Problem(405, "Method Not Allowed", detail, allow=("GET", "PUT"))


def too_many_connections(limit: int) -> Problem:
    """429: too many concurrent calls of the account."""
    return Problem(429, "Too Many Requests", f"You have exceeded the limit of {limit} simultaneous connections.")


def internal() -> Problem:
    """500: internal error."""
    detail = "An unexpected internal error has occurred. Please contact Support for more information."
    return Problem(500, "Internal Server Error", detail)


def unreadable_json() -> Problem:
    """400: the body is not JSON."""
    return Problem(400, "JSON Parse Error", "We encountered an unspecified JSON parsing error.")


def invalid(detail: str, *errors: FieldError) -> Problem:
    """400 with this text."""
    return Problem(400, INVALID_RESOURCE, detail, *errors)


def invalid_schema(*errors: FieldError) -> Problem:
    """400: fields of the body or parameters of the query are invalid."""
    return invalid(SCHEMA, *errors)


def invalid_merge_fields(*errors: FieldError) -> Problem:
    """400: merge fields are missing or invalid."""
    return invalid(MERGE_FIELDS, *errors)


def invalid_address() -> Problem:
    """400: the address has invalid syntax."""
    return invalid("Please provide a valid email address.")


def looks_fake(address: str) -> Problem:
    """400: the address looks fake."""
    return invalid(f"{address} looks fake or invalid, please enter a real email address.")


def too_many_signups(address: str) -> Problem:
    """400: the address has too many recent signups. A later call may succeed."""
    return invalid(
        f"{address} has signed up to a lot of lists very recently; we're not allowing more signups for now",
    )


def too_many_requests(address: str) -> Problem:
    """400: another text for too many recent signups."""
    return invalid(f'Recipient "{address}" has too many recent signup requests')


def role_address(address: str) -> Problem:
    """400: a role address (a behaviour, off by default)."""
    return invalid(f"{address} is a role-based address and cannot be imported.")


def member_exists(address: str) -> Problem:
    """400: the audience has the address already."""
    detail = f"{address} is already a list member. Use PUT to insert or update list members."
    return Problem(400, "Member Exists", detail, typed=False)


def compliance_state(address: str) -> Problem:
    """400: the contact unsubscribed, bounced or is under review."""
    detail = (
        f"{address} is in a compliance state due to unsubscribe, bounce, or compliance review and cannot be subscribed."
    )
    return Problem(400, "Member In Compliance State", detail, typed=False)


def forgotten(address: str) -> Problem:
    """400: the contact was deleted permanently. Only the contact can sign up again."""
    detail = (
        f"{address} was permanently deleted and cannot be re-imported. "
        "The contact must re-subscribe to get back on the list."
    )
    return Problem(400, "Forgotten Email Not Subscribed", detail, typed=False)
