"""The format of Mailchimp's API keys, and the URL of the API."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, NoReturn
from urllib.parse import urlsplit

from mailchimp_pipeline.errors import PermanentError

API_ROOT: Final = "https://{data_center}.api.mailchimp.com/3.0"
"""The URL of Mailchimp's API. The API key's data centre takes the place of `{data_center}`."""

# A key has 32 characters before its data centre. The limit of 128 allows longer keys, but not a pasted file.
_KEY: Final = re.compile(r"([0-9A-Za-z]{1,128})-(us[0-9]{1,3})")
_SAMPLE: Final = "sample"
"""The prefix of the sample organisations' keys. Mailchimp's own keys are hexadecimal, so they never start with it."""
_DATA_CENTER: Final = re.compile(r"us[0-9]{1,3}")


class MalformedApiKey(PermanentError):
    """The text is not a Mailchimp API key. The error does not contain the text."""

    def __init__(self) -> None:
        super().__init__(
            "The API key does not have the form of a Mailchimp key: letters and digits, then its data centre, "
            "such as -us6. Copy it again from Mailchimp, under Account, Extras, API keys."
        )


class UnusableApiRoot(PermanentError):
    """The configured URL of the API is invalid, or the API key could be read on the way to it."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The address of Mailchimp's API cannot be used: {why}. Correct MAILCHIMP_API_ROOT.")


class SampleKeyKept(PermanentError):
    """The API key of a sample organisation would have been sent to a server other than the sandbox."""

    def __init__(self) -> None:
        super().__init__(
            "The API key is one of the sample organisations', whose Mailchimp is the sandbox alone. Connect with a key "
            "of your own, or set MAILCHIMP_API_ROOT to the sandbox's address: `mailchimp-pipeline sandbox` tells it."
        )


@dataclass(frozen=True, slots=True, repr=False)
class ApiKey:
    """A Mailchimp API key. Its text and repr hide the key, and it cannot be pickled. Only `reveal` returns it."""

    _text: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self._text):
            raise MalformedApiKey

    @classmethod
    def parse(cls, text: str) -> "ApiKey":
        """Return the text as a key.

        Raises `MalformedApiKey` if the text does not have the form of a Mailchimp key, or has blanks around it.
        """
        return cls(text)

    @property
    def data_center(self) -> str:
        """The data centre in the key, such as us6."""
        return self._text.rpartition("-")[2]

    @property
    def hint(self) -> str:
        """The last characters before the data centre, by which users tell keys apart.

        There are four of them, or half of the characters before the data centre if these are fewer than eight.
        """
        secret = self._text.rpartition("-")[0]
        return secret[len(secret) - min(4, len(secret) // 2) :]

    @property
    def is_sample(self) -> bool:
        """Whether the key belongs to a sample organisation and is for the sandbox only."""
        return self._text.startswith(_SAMPLE)

    def reveal(self) -> str:
        """Return the key as text."""
        return self._text

    def __repr__(self) -> str:
        return f"ApiKey(…{self.hint}-{self.data_center})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("An API key is not pickled: it would stand readable on disk.")


def api_root(template: str, data_center: str) -> str:
    """Return `template` with the data centre in place of `{data_center}`, and without a slash at the end.

    Raises `UnusableApiRoot` if the data centre or the URL is invalid, or if it is plain HTTP to another machine.
    """
    if not _DATA_CENTER.fullmatch(data_center):
        raise UnusableApiRoot("the data centre is not of the form us6")
    url = template.replace("{data_center}", data_center)
    if problem := _problem(url):
        raise UnusableApiRoot(problem)
    return url.rstrip("/")


def root_for(api_key: ApiKey, template: str) -> str:
    """Return the URL of the API for this key, from `template` as in `api_root`.

    Raises `UnusableApiRoot` if the URL is invalid, and `SampleKeyKept` if a sample organisation's key would leave this
    machine.
    """
    root = api_root(template, api_key.data_center)
    # Plain HTTP stays on this machine, where the sandbox is.
    if api_key.is_sample and not root.startswith("http://"):
        raise SampleKeyKept
    return root


def _problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "it is not a URL"
    if not host or port == 0 or not re.fullmatch(r"[!-z|~]+", url):
        return "it is not a URL"
    if "@" in parts.netloc or "?" in url or "#" in url:
        return "it must have no user, query or fragment"
    if parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(host)):
        return None
    return "it must begin with https:// (http:// only for this machine itself, where the sandbox is)"


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
