"""API keys: format, hidden representation, and the API root of their data centre."""

import copy
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.connections import (
    API_ROOT,
    ApiKey,
    MalformedApiKey,
    SampleKeyKept,
    UnusableApiRoot,
    api_root,
    root_for,
)
from mailchimp_pipeline.local.sample_organisations import ORGANISATIONS
from mailchimp_pipeline.mailchimp import MailchimpClient, ThreadSlots

A_KEY = "0123456789abcdef0123456789abcdef-us6"

ALPHANUMERIC = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
keys = st.text(ALPHANUMERIC, min_size=1, max_size=128)
data_centers = st.text("0123456789", min_size=1, max_size=3).map("us{}".format)


def test_a_key_names_its_data_center() -> None:
    key = ApiKey.parse("abc123def456-us21")
    assert key.data_center == "us21"
    assert key.hint == "f456"
    assert key.reveal() == "abc123def456-us21"


@given(keys, data_centers)
def test_every_key_of_the_form_is_taken_as_it_is(secret: str, data_center: str) -> None:
    key = ApiKey.parse(f"{secret}-{data_center}")
    assert key.reveal() == f"{secret}-{data_center}"
    assert key.data_center == data_center
    assert len(key.hint) <= max(4, len(secret) // 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "us6",
        "-us6",
        "abc123",
        "abc123-us",
        "abc123-us1234",
        "abc123-eu6",
        "abc123-US6",
        " abc123-us6",
        "abc123-us6 ",
        "abc123-us6\n",
        "abc-123-us6",
        "abc123-us\u0666",
        "äbc123-us6",
        "abc123-us6.evil.example",
        "a" * 129 + "-us6",
    ],
)
def test_anything_else_is_no_key(text: str) -> None:
    with pytest.raises(MalformedApiKey):
        ApiKey.parse(text)


@given(st.text(min_size=8))
def test_the_refusal_of_a_text_does_not_repeat_it(text: str) -> None:
    with pytest.raises(MalformedApiKey) as refused:
        ApiKey.parse(f"{text}-us6!")
    assert text not in str(refused.value)


@given(keys.filter(lambda secret: len(secret) >= 8), data_centers)
def test_a_key_is_shown_by_its_hint_only(secret: str, data_center: str) -> None:
    key = ApiKey.parse(f"{secret}-{data_center}")
    shown = f"{key} {key!r} {[key]}"
    assert key.hint in shown
    assert secret not in shown


def test_a_key_too_short_for_a_hint_stays_hidden() -> None:
    assert ApiKey.parse("a-us6").hint == ""
    assert ApiKey.parse("abcd-us6").hint == "cd"


@pytest.mark.parametrize("copied", [pickle.dumps, copy.deepcopy])
def test_a_key_is_not_pickled(copied: Callable[[ApiKey], object]) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        copied(ApiKey.parse(A_KEY))


def test_equal_keys_are_equal() -> None:
    assert ApiKey.parse(A_KEY) == ApiKey.parse(A_KEY)
    assert len({ApiKey.parse(A_KEY), ApiKey.parse(A_KEY)}) == 1


@pytest.mark.parametrize(
    ("template", "root"),
    [
        (API_ROOT, "https://us6.api.mailchimp.com/3.0"),
        ("https://mailchimp.internal/3.0/", "https://mailchimp.internal/3.0"),
        ("http://127.0.0.1:8900/3.0", "http://127.0.0.1:8900/3.0"),
        ("http://[::1]:8900/3.0", "http://[::1]:8900/3.0"),
        ("http://localhost:8900/{data_center}/3.0", "http://localhost:8900/us6/3.0"),
    ],
)
def test_the_root_is_that_of_the_data_center(template: str, root: str) -> None:
    assert api_root(template, "us6") == root


@pytest.mark.parametrize(
    "template",
    [
        "",
        "api.mailchimp.com/3.0",
        "https://",
        "https:///3.0",
        "http://mailchimp.internal/3.0",
        "http://{data_center}.api.mailchimp.com/3.0",
        "http://127.0.0.1.evil.example/3.0",
        "ftp://127.0.0.1/3.0",
        "https://user:secret@api.mailchimp.com/3.0",
        "https://api.mailchimp.com/3.0?x=1",
        "https://api.mailchimp.com/3.0#x",
        "https://api.mailchimp.com:99999/3.0",
        "https://api.mailchimp.com:0/3.0",
        "https://[::1/3.0",
        "https://{other}.api.mailchimp.com/3.0",
        "https://api.mailchimp.com /3.0",
    ],
)
def test_a_key_is_sent_nowhere_unsafe(template: str) -> None:
    with pytest.raises(UnusableApiRoot) as refused:
        api_root(template, "us6")
    assert "secret" not in str(refused.value)
    assert "MAILCHIMP_API_ROOT" in str(refused.value)


def test_a_key_of_the_sample_organisations_goes_to_the_sandbox_alone() -> None:
    for organisation in ORGANISATIONS:
        key = ApiKey.parse(organisation.api_key)
        assert root_for(key, "http://127.0.0.1:8900/3.0") == "http://127.0.0.1:8900/3.0"
        for template in (API_ROOT, "https://mailchimp.example.com/3.0"):
            with pytest.raises(SampleKeyKept, match="MAILCHIMP_API_ROOT") as kept:
                MailchimpClient(key, root=template, slots=ThreadSlots(1))
            assert key.reveal() not in str(kept.value)
    assert root_for(ApiKey.parse(A_KEY), API_ROOT) == "https://us6.api.mailchimp.com/3.0"


@pytest.mark.parametrize("data_center", ["", "us", "us1234", "us6\n", "evil.example/", "us6.evil"])
def test_a_data_center_cannot_lead_elsewhere(data_center: str) -> None:
    with pytest.raises(UnusableApiRoot):
        api_root(API_ROOT, data_center)
