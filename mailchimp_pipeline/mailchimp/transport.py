"""Send calls to the Marketing API: take a slot, send the request, classify the answer, and retry.

What does not belong here: the calls (`audiences`, `members`, ...), the classification (`error_classification`).
"""

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import requests
import urllib3
from pydantic import ValidationError
from pydantic_core import to_json
from requests.adapters import HTTPAdapter

from mailchimp_pipeline.connections import API_ROOT, ApiKey
from mailchimp_pipeline.logs import logger
from mailchimp_pipeline.mailchimp.calls import Call
from mailchimp_pipeline.mailchimp.error_classification import Answer, lost, malformed, verdict
from mailchimp_pipeline.mailchimp.errors import (
    BrokenOff,
    KeyRefused,
    MailchimpAway,
    NobodyThere,
    NotFound,
    Throttled,
    TimedOut,
)
from mailchimp_pipeline.mailchimp.models import Wire
from mailchimp_pipeline.mailchimp.retries import Retries, RetryBudget, count_retry, date_of, retry_after
from mailchimp_pipeline.mailchimp.slots import ConnectionSlots
from mailchimp_pipeline.sync import CONNECTIONS

if TYPE_CHECKING:
    from datetime import datetime

USER_AGENT: Final = "mailchimp-pipeline"
LARGEST_ANSWER: Final = 64 * 1024 * 1024
"""The maximum size of an answer in bytes. A page of a thousand members with all fields has about 3 MB."""

_PIECE: Final = 64 * 1024

_log = logger("mailchimp_pipeline.mailchimp")

_Model = TypeVar("_Model", bound=Wire)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a connection, for the next bytes of an answer, and for the whole answer.

    Mailchimp ends a call after 120 s. `read` is longer, because Mailchimp's error says more than a timeout, and a
    closed connection does not end the call at Mailchimp.
    """

    connect: float = 10.0
    read: float = 130.0
    total: float = 300.0


class KeyWatch(Protocol):
    """Receives whether Mailchimp accepts the API key, before the caller gets the result."""

    def refused(self, error: KeyRefused) -> None:
        """Handle a refusal of the API key by Mailchimp."""
        ...

    def accepted(self) -> None:
        """Handle a successful call."""
        ...


class _Unwatched:
    def refused(self, error: KeyRefused) -> None:
        pass

    def accepted(self) -> None:
        pass


class Transport:
    """Sends calls of one account over at most ten pooled connections. Threads may share it."""

    def __init__(  # noqa: PLR0913 - each is one thing that the client is given for it
        self,
        api_key: ApiKey,
        root: str,
        *,
        slots: ConnectionSlots,
        timeouts: Timeouts,
        retries: Retries,
        proxy: str | None = None,
        key_watch: KeyWatch | None = None,
    ) -> None:
        self._root = root
        self._slots = slots
        self._timeouts = timeouts
        self._retries = retries
        self._key_watch = key_watch or _Unwatched()
        self._session = _session(api_key, proxy)
        self._held = threading.local()
        self.server_time: datetime | None = None
        """Time of Mailchimp's last answer, by Mailchimp's clock."""
        # True after a call used up its retries, until the next success. Meanwhile calls are tried once, because in an
        # outage each would wait for its whole budget.
        self._in_vain = False
        # True after a success: the root is right, so an unreadable 404 is a broken answer.
        self._is_the_api = False

    def fetch(self, call: Call, model: type[_Model]) -> _Model:
        """Return the body of the answer as a `model`. Raises the errors of `mailchimp.errors`."""

        def read(answer: Answer) -> _Model:
            try:
                return model.model_validate_json(answer.body)
            except ValidationError:
                failure = malformed(call, answer)
            raise failure

        return self._carry_out(call, read)

    def send(self, call: Call) -> "datetime | None":
        """Send a call that Mailchimp answers with 204, without a body. Raises the errors of `mailchimp.errors`.

        Any other success may come from a proxy, and does not prove a deletion. Returns the time of the answer by
        Mailchimp's clock, None without a date.
        """

        def read(answer: Answer) -> "datetime | None":
            if answer.status != HTTPStatus.NO_CONTENT:
                raise malformed(call, answer)
            return answer.sent_at

        return self._carry_out(call, read)

    @contextmanager
    def one_slot(self) -> Generator[None]:
        """Hold one slot for this thread's calls in the block."""
        with self._slots.slot():
            self._held.slot = True
            try:
                yield
            finally:
                self._held.slot = False

    def close(self) -> None:
        """Close the HTTP connections."""
        self._session.close()

    def _slot(self) -> AbstractContextManager[None]:
        return nullcontext() if getattr(self._held, "slot", False) else self._slots.slot()

    def _carry_out(self, call: Call, read: Callable[[Answer], _T]) -> _T:
        patience = RetryBudget(self._retries)
        answer_lost, broke_off = False, 0
        while True:
            try:
                with self._slot(), patience.attempt():
                    answer = self._exchange(call)
                done = read(answer)
            except NotFound as error:
                error.after_lost_answer = answer_lost
                raise
            except NobodyThere:
                raise
            except MailchimpAway as error:
                answer_lost = answer_lost or not isinstance(error, Throttled)
                broke_off += isinstance(error, BrokenOff)
                if answer_lost and not call.repeat_when_lost:
                    raise
                if call.could_be_smaller and (isinstance(error, TimedOut) or broke_off > 1):
                    raise
                if not self._rest(call, patience, error.retry_after):
                    raise
                count_retry(error)
                # Without the path, which may have the hash of an address.
                _log.info("mailchimp call tried again", task=call.task, after=type(error).__name__)
            except KeyRefused as error:
                self._key_watch.refused(error)
                raise
            else:
                self._in_vain = False
                self._is_the_api = True
                self._key_watch.accepted()
                return done

    def _rest(self, call: Call, patience: RetryBudget, retry_after: float | None) -> bool:
        """Pause before the next attempt. Return False if there is none."""
        if self._in_vain or not patience.rest(retry_after):
            self._in_vain = True
            return False
        return call.may_repeat is None or call.may_repeat()

    def _exchange(self, call: Call) -> Answer:
        # Errors are raised outside the handler, so that requests' error, which contains the URL, is not their context.
        response, begun = None, self._retries.clock()
        try:
            with self._session.request(
                call.method,
                self._root + call.path,
                params=call.params,
                data=None if call.body is None else to_json(call.body),
                headers=None if call.body is None else _JSON,
                timeout=(self._timeouts.connect, self._timeouts.read),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._body(response, until=begun + self._timeouts.total)
                sent_at = date_of(response.headers)
                self.server_time = sent_at or self.server_time
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            seconds = self._retries.clock() - begun
            failure = lost(call, error, self._root, begun=response is not None, seconds=seconds)
        else:
            seconds = self._retries.clock() - begun
            answer = Answer(response.status_code, body, retry_after(response.headers), seconds, sent_at)
            failure = verdict(call, answer, API_ROOT if self._is_the_api else self._root)
            if failure is None:
                return answer
        raise failure

    def _body(self, response: requests.Response, *, until: float) -> bytes:
        """Return the body. It is read in pieces, so that a slow sender cannot delay the call beyond `until`."""
        pieces, size = list[bytes](), 0
        while piece := response.raw.read1(_PIECE, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST_ANSWER:
                raise requests.exceptions.ContentDecodingError
            if self._retries.clock() > until:
                raise requests.Timeout
        return b"".join(pieces)


_JSON = {"Content-Type": "application/json"}


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - that of requests
        """Return None. Otherwise requests would parse the redirect's Location, and fail if it is invalid."""
        return None


def _session(api_key: ApiKey, proxy: str | None) -> requests.Session:
    session = _Session()
    # The environment's proxy, netrc and certificates are ignored: the key is sent as configured only.
    session.trust_env = False
    # Plain HTTP is for this machine only, without a proxy.
    session.proxies = {"https": proxy} if proxy else {}
    session.auth = (USER_AGENT, api_key.reveal())
    session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json"})
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS, pool_block=True)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # urllib3 logs URLs at DEBUG, and a member's URL has the hash of the address.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
    return session
