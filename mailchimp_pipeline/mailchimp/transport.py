"""Send calls to the Marketing API: take a connection slot, send the request, classify the answer, and retry.

A failed call is repeated after growing random pauses, as long as its budget of seconds lasts. Listings are read page by
page. `ConnectionSlots` is the port that limits an account's parallel connections; `database` implements it for several
processes.
"""

import logging
import random
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from threading import BoundedSemaphore
from typing import Final, Protocol, TypeVar

import requests
import urllib3
from pydantic import ValidationError
from pydantic_core import to_json
from requests.adapters import HTTPAdapter

from mailchimp_pipeline.connections import API_ROOT, ApiKey
from mailchimp_pipeline.logs import logger
from mailchimp_pipeline.mailchimp.api_errors import (
    ConnectionBroken,
    KeyRefused,
    MailchimpAway,
    NotFound,
    Throttled,
    TimedOut,
    Unreachable,
)
from mailchimp_pipeline.mailchimp.error_classification import Answer, classify, incomplete, lost, malformed
from mailchimp_pipeline.mailchimp.wire_models import Call, EntryPage, Item, Wire
from mailchimp_pipeline.sync import CONNECTIONS


class ConnectionSlots(Protocol):
    """Limits the parallel connections of one Mailchimp account. A slot is the right to use one connection."""

    def slot(self) -> AbstractContextManager[None]:
        """Wait for one of the account's free connections, and hold it during the block."""
        ...


class ThreadSlots:
    """Slots that are shared by the threads of this process only."""

    def __init__(self, connections: int = CONNECTIONS) -> None:
        self._free = BoundedSemaphore(connections)

    @contextmanager
    def slot(self) -> Generator[None]:
        """Wait for one of the account's free connections, and hold it during the block."""
        with self._free:
            yield


_SECONDS: Final = re.compile(r"[0-9]{1,9}")

_retried: ContextVar[list[str] | None] = ContextVar("retried", default=None)


@dataclass(frozen=True, slots=True)
class Retries:
    """The limits of retries. All times are in seconds.

    `budget` is the time that a call may spend on attempts and on pauses between them, without the wait for a slot. A
    pause is at most `longest_pause`, or longer if Mailchimp asks for it and the budget allows it.
    """

    budget: float = 300.0
    first_pause: float = 1.0
    longest_pause: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    rng: random.Random = field(default_factory=random.Random)


class RetryBudget:
    """The time that one call may still spend on attempts and on pauses between them."""

    def __init__(self, rule: Retries) -> None:
        self._rule = rule
        self._left = rule.budget
        self._next_pause = rule.first_pause

    @contextmanager
    def attempt(self) -> Generator[None]:
        """Run one attempt in the block, and subtract its duration from the budget."""
        begun = self._rule.clock()
        try:
            yield
        finally:
            self._left -= self._rule.clock() - begun

    def pause(self, retry_after: float | None) -> bool:
        """Pause before the next attempt. Returns False, without a pause, if the budget does not last for it.

        `retry_after` is the pause in seconds that Mailchimp asks for, None if it does not ask for one.
        """
        # Random, so that calls that failed at the same moment are not repeated at the same moment.
        pause = max(self._next_pause * self._rule.rng.uniform(0.5, 1.0), retry_after or 0.0)
        if pause > self._left:
            return False
        self._next_pause = min(2 * self._next_pause, self._rule.longest_pause)
        self._left -= pause
        self._rule.sleep(pause)
        return True


@contextmanager
def counted_retries() -> Generator[list[str]]:
    """Yield a list to which each retry in the block adds the class name of the error before it.

    Retries in other threads are added too, if the threads run in a copy of the block's context.
    """
    retried: list[str] = []
    token = _retried.set(retried)
    try:
        yield retried
    finally:
        _retried.reset(token)


def count_retry(error: Exception) -> None:
    """Add the error's class name to the list of the surrounding `counted_retries`, if there is one."""
    if (retried := _retried.get()) is not None:
        retried.append(type(error).__name__)


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return the time in an answer's Date header, None if the header is missing or invalid."""
    try:
        date = parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the pause in seconds that a Retry-After header asks for, None if the header is missing or invalid.

    The header has either seconds or a date. A date is compared with the answer's Date header, because clocks differ.
    """
    text = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        until = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, until.total_seconds())


USER_AGENT: Final = "mailchimp-pipeline"
LARGEST_ANSWER: Final = 64 * 1024 * 1024
"""The maximum size of an answer in bytes. A page of a thousand members with all fields has about 3 MB."""

_PIECE: Final = 64 * 1024

_log = logger("mailchimp_pipeline.mailchimp")

_Model = TypeVar("_Model", bound=Wire)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How many seconds to wait for a connection, for the next bytes of an answer, and for the whole answer.

    Mailchimp ends a call after 120 s. `read` is longer, because Mailchimp's error then says more than a timeout would.
    Closing the connection earlier would not end the call at Mailchimp.
    """

    connect: float = 10.0
    read: float = 130.0
    total: float = 300.0


class KeyWatch(Protocol):
    """A listener of the transport. It learns whether Mailchimp accepts the API key before a call to Mailchimp ends."""

    def refused(self, error: KeyRefused) -> None:
        """Handle a refusal of the API key by Mailchimp."""
        ...

    def accepted(self) -> None:
        """Handle a successful call, which shows that Mailchimp accepts the API key."""
        ...


class _Unwatched:
    def refused(self, error: KeyRefused) -> None:
        pass

    def accepted(self) -> None:
        pass


class Transport:
    """Sends the calls of one account over at most ten HTTP connections. Threads may share it."""

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
        """The time of Mailchimp's last answer, by Mailchimp's clock. None before the first answer."""
        # True after a call used up its retries, until the next success. Meanwhile calls are tried once, because in an
        # outage each would wait for its whole budget.
        self._in_vain = False
        # True after a success: the root is right, so an unreadable 404 is a broken answer.
        self._is_the_api = False

    def fetch(self, call: Call, model: type[_Model]) -> _Model:
        """Send a call and return the body of the answer as a `model`. Raises the errors of `mailchimp.api_errors`."""

        def read(answer: Answer) -> _Model:
            try:
                return model.model_validate_json(answer.body)
            except ValidationError:
                failure = malformed(call, answer)
            raise failure

        return self._carry_out(call, read)

    def send(self, call: Call) -> "datetime | None":
        """Send a call that Mailchimp answers with HTTP 204 and no body. Raises the errors of `mailchimp.api_errors`.

        Returns the time of the answer by Mailchimp's clock, None if the answer has no date. Any other success is an
        error: it may come from a proxy, and does not prove that Mailchimp carried out the call.
        """

        def read(answer: Answer) -> "datetime | None":
            if answer.status != HTTPStatus.NO_CONTENT:
                raise malformed(call, answer)
            return answer.sent_at

        return self._carry_out(call, read)

    @contextmanager
    def one_slot(self) -> Generator[None]:
        """Hold one slot during the block, and use it for all calls of this thread in the block."""
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
            except Unreachable:
                raise
            except MailchimpAway as error:
                answer_lost = answer_lost or not isinstance(error, Throttled)
                broke_off += isinstance(error, ConnectionBroken)
                if answer_lost and not call.repeat_when_lost:
                    raise
                if call.could_be_smaller and (isinstance(error, TimedOut) or broke_off > 1):
                    raise
                if not self._pause(call, patience, error.retry_after):
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

    def _pause(self, call: Call, patience: RetryBudget, retry_after: float | None) -> bool:
        """Pause before the next attempt. Returns False if the call must not be tried again."""
        if self._in_vain or not patience.pause(retry_after):
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
            failure = classify(call, answer, API_ROOT if self._is_the_api else self._root)
            if failure is None:
                return answer
        raise failure

    def _body(self, response: requests.Response, *, until: float) -> bytes:
        """Return the body of an answer. Raises an error of requests if it is larger than `LARGEST_ANSWER`.

        The body is read in parts of 64 kB. If it is not complete when `Retries.clock` reaches `until`, it raises
        `requests.Timeout`, so that a slow sender cannot delay the call any further.
        """
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
        """Return None, because requests would otherwise parse the redirect's URL and fail if it is invalid."""
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


PAGE_SIZES: Final[tuple[int, ...]] = (1000, 500, 100)
"""Entries per page. The first is Mailchimp's maximum. The smaller ones are for pages that Mailchimp does not return in
time."""


class Fetcher(Protocol):
    """An object that sends calls, such as `Transport`."""

    def fetch(self, call: Call, model: type[_Model]) -> _Model:
        """Return the body of the answer as a `model`."""
        ...


def read_pages(fetcher: Fetcher, call: Call, model: type[EntryPage[Item]]) -> Iterator[tuple[Item, ...]]:
    """Yield the entries of a listing, page by page, and nothing for an empty one. `call` asks for the whole listing.

    An entry may occur twice, but none is left out. Raises `Incomplete` if the listing ends before all the entries that
    Mailchimp announced.
    """
    sizes: list[int] = [*PAGE_SIZES]
    total, offset = None, 0
    while total is None or offset < total:
        page = _read_page(fetcher, call, model, sizes, offset)
        announced, total = total, page.total_items
        if announced is not None and total < announced:
            # Removed entries moved the others forward, so read that many again.
            offset = max(0, offset - (announced - total))
            continue
        if offset < total and not page.items:
            raise incomplete(call, announced=total, read=offset)
        offset += len(page.items)
        if page.items:
            yield page.items


def _read_page(
    fetcher: Fetcher, call: Call, model: type[EntryPage[Item]], sizes: list[int], offset: int
) -> EntryPage[Item]:
    """Return the page that begins at `offset`, in the largest of `sizes` that Mailchimp manages to return.

    A size that fails is removed from `sizes`, so that later pages do not try it again. The last size is requested with
    all retries of a call.
    """
    while len(sizes) > 1:
        try:
            return fetcher.fetch(call.page(sizes[0], offset, could_be_smaller=True), model)
        except (TimedOut, ConnectionBroken):
            del sizes[0]
    return fetcher.fetch(call.page(sizes[0], offset), model)
