"""A request for a page: its caller, its form, and the calls of procedures that answer it."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.auth import Caller
from api.dashboard.rendering import render
from api.trpc import CODES, Code, Role


class CallFailed(Exception):
    """A procedure answered with an error. `messages` are by field in camelCase; "" has those about no field."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error["data"]["code"])
        self.code: str = error["data"]["code"]
        self.status: int = error["data"]["httpStatus"]
        details = error["data"].get("zodError")
        self.messages: dict[str, list[str]] = dict(details["fieldErrors"]) if details else {}
        general: list[str] = details["formErrors"] if details else [error["message"]]
        if general:
            self.messages[""] = general

    @classmethod
    def refusal(cls, code: Code, message: str, field: str | None = None) -> "CallFailed":
        """Return the failure of a request that the dashboard itself refuses. The message is at `field`, if given."""
        status = CODES[code].http
        failure = cls({"message": message, "data": {"code": code, "httpStatus": status}})
        return failure.beside(field) if field else failure

    def beside(self, field: str) -> "CallFailed":
        """Return this failure with its general messages at a field: the only one of the form.

        Who may not use the form has no such field, and gets the messages above the page.
        """
        if self.code == "FORBIDDEN":
            return self
        self.messages[field] = [*self.messages.get(field, []), *self.messages.pop("", [])]
        return self


@dataclass(frozen=True, slots=True)
class FormFields:
    """The fields of a submitted form. A field may have several values."""

    values: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    @classmethod
    def parse(cls, body: bytes) -> "FormFields":
        """Parse a form in the encoding that browsers use by default. Invalid UTF-8 is replaced."""
        return cls(parse_qs(body.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=200))

    def text(self, name: str) -> str:
        """Return the first value of a field, "" if the form does not have the field. Lines end with a line feed."""
        return next(iter(self.values.get(name, ())), "").replace("\r\n", "\n")

    def lines(self, name: str) -> list[str]:
        """Return the lines of a field that are not blank."""
        return [line.strip() for line in self.text(name).splitlines() if line.strip()]

    def has(self, name: str) -> bool:
        """Return whether the form has the field: browsers leave out a checkbox that is not checked."""
        return name in self.values


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a page."""

    request: Request
    caller: Caller
    send: Callable[[str, object], Awaitable[bytes]]
    """Calls a procedure of `mailchimp` with an input. Returns the answer as the API sends it."""
    form_token: str
    form: FormFields = field(default_factory=FormFields)

    @property
    def id(self) -> str:
        """The id in the path."""
        return self.request.path_params["id"]

    def query(self, name: str) -> str | None:
        """Return a parameter of the URL, None if it is missing or blank."""
        return self.request.query_params.get(name) or None

    def require(self, role: Role) -> None:
        """Raise `CallFailed` with the status 403 if the caller's role is not enough for a page."""
        if not self.caller.role.covers(role):
            message = f'This page needs the role "{role}": ask an administrator of your organisation'
            raise CallFailed.refusal("FORBIDDEN", message)

    async def call(self, procedure: str, **given: object) -> Any:  # noqa: ANN401 - JSON
        """Call a procedure with an input, and return its output. Raises `CallFailed`."""
        answer = json.loads(await self.send(f"mailchimp.{procedure}", given or None))
        if "error" in answer:
            raise CallFailed(answer["error"])
        return answer["result"].get("data")

    def page(self, template: str, failure: CallFailed | None = None, status: int = 200, **values: object) -> Response:
        """Return a page. A `failure` is shown on it, and decides its status."""
        if failure:
            status = failure.status
        return render(
            template,
            status,
            path=self.request.url.path,
            organisation_id=self.caller.organisation_id,
            role=self.caller.role.value,
            may_edit=self.caller.role.covers(Role.EDITOR),
            may_administrate=self.caller.role.covers(Role.ADMIN),
            form_token=self.form_token,
            messages=failure.messages if failure else {},
            done=self.query("done"),
            cursor=self.query("cursor"),
            **values,
        )

    def redirect(self, path: str, **parameters: str) -> Response:
        """Return a redirect to another page, after a form was carried out."""
        return RedirectResponse(f"{path}?{urlencode(parameters)}" if parameters else path, 303)
