"""Addresses: canonical form, subscriber hash, and the fast path for a column."""

import hashlib
import unicodedata

import email_validator
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.contacts import canonical_address, may_hold_address, member_ids, subscriber_hash
from mailchimp_pipeline.contacts.addresses import are_surely_valid, checked, sendable


@pytest.mark.parametrize("domain", ["example.com", "acme.example", "acme.test", "acme.local", "acme.invalid"])
def test_reserved_domains_are_a_matter_of_syntax_alone(domain: str) -> None:
    assert sendable(f"o'brien+hr&it@{domain}") == f"o'brien+hr&it@{domain}"
    assert sendable(f"ada@{domain}") == f"ada@{domain}"


def test_an_internationalised_domain_is_sent_in_ascii() -> None:
    assert sendable("Ada@BÜCHER.example") == "ada@xn--bcher-kva.example"


BOOKS = "info@xn--bcher-werk-9db.test"


@pytest.mark.parametrize(
    "address", ["info@bücher-werk.test", "INFO@BÜCHER-WERK.TEST ", "info@bu\u0308cher-werk\u3002test", BOOKS.upper()]
)
def test_an_address_has_one_key_however_its_domain_is_written(address: str) -> None:
    assert canonical_address(address) == BOOKS
    assert subscriber_hash(address) == hashlib.md5(BOOKS.encode(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("Ada@Straße.test", "ada@xn--strae-oqa.test"),
        ("Ada@XN--nothing-.test", "ada@xn--nothing-.test"),
        (" Ada@Bücher Werk.test", "ada@bücher werk.test"),
        (f"Ada@{'Ü' * 300}.test", f"ada@{'ü' * 300}.test"),
        ("Bücher", "bücher"),
        ("", ""),
    ],
)
def test_a_domain_that_cannot_be_encoded_is_only_lower_cased(address: str, key: str) -> None:
    assert canonical_address(address) == key


PLAIN_ADDRESSES = st.builds(
    "{}@{}.{}".format,
    st.from_regex(r"[a-zA-Z0-9_+'-]{1,12}(\.[a-zA-Z0-9_+'-]{1,6}){0,2}", fullmatch=True),
    st.from_regex(r"[a-zA-Z0-9-]{1,10}(\.[a-zA-Z0-9-]{1,10}){0,2}", fullmatch=True),
    st.from_regex(r"[a-zA-Z]{1,8}", fullmatch=True),
)
ALMOST_ADDRESSES = st.text(alphabet="aZ0._+'-@& \"<\u00e9\u0130\u3002", max_size=20)
ADDRESSES = st.one_of(PLAIN_ADDRESSES, ALMOST_ADDRESSES, st.emails(), st.text(max_size=20)).map(str.strip)


@given(PLAIN_ADDRESSES | ALMOST_ADDRESSES | st.emails())
def test_what_the_fast_path_accepts_email_validator_accepts_unchanged(address: str) -> None:
    (accepted,) = are_surely_valid(pa.array([address.lower()])).to_pylist()
    if accepted:
        validated = email_validator.validate_email(address.lower(), check_deliverability=False)
        assert validated.normalized == validated.ascii_email == address.lower()


def test_the_fast_path_takes_ordinary_addresses_and_leaves_the_others() -> None:
    ordinary = ["ada.byron@acme.co.uk", "o'brien-smith+news_1@mail-2.acme.test"]
    others = ["ada@xn--bcher-kva.test", "ada@ab--cd.test", "ada@-acme.test", "ada@acme.123", "ada@acme.test\n", "a@b"]
    assert are_surely_valid(pa.array(ordinary)).to_pylist() == [True, True]
    assert are_surely_valid(pa.array(others)).to_pylist() == [False] * len(others)
    assert are_surely_valid(pa.array([f"ada@{'a' * 64}.test", None])).to_pylist() == [False, None]


DOMAINS = st.from_regex(r"[a-zäöüéñ\u0434\u65e5]{1,6}(-[a-z0-9é]{1,4})?\.(test|\u0440\u0444)", fullmatch=True)


@given(st.from_regex(r"[a-z0-9.+]{1,6}", fullmatch=True), DOMAINS, st.sampled_from(["", " ", "\u00a0\t"]))
def test_all_spellings_of_an_address_have_one_key(local: str, domain: str, blanks: str) -> None:
    encoded = ".".join(label.encode("idna").decode() for label in domain.split("."))
    decomposed = unicodedata.normalize("NFD", domain)
    spellings = [f"{local}@{domain}", f"{local}@{encoded}", f"{local}@{decomposed}"]
    spellings += [f"{blanks}{spelling.upper()}{blanks}" for spelling in spellings]
    assert {canonical_address(spelling) for spelling in spellings} == {f"{local}@{encoded}"}


@given(ADDRESSES)
def test_what_is_sent_is_the_canonical_address_and_that_of_it_is_itself(address: str) -> None:
    canonical = canonical_address(address)
    assert canonical_address(canonical) == canonical
    assert sendable(address) in {None, canonical}
    if address.isascii():
        assert canonical == address.strip().lower()


@given(st.lists(ADDRESSES, max_size=5))
def test_a_column_of_addresses_is_checked_as_each_alone(addresses: list[str]) -> None:
    expected = [sendable(address) for address in addresses]
    column = checked(pa.array(addresses, pa.string()))
    assert column.hashes.to_pylist() == [address and subscriber_hash(address) for address in expected]
    assert column.emails.to_pylist() == [sent or given for sent, given in zip(expected, addresses, strict=True)]


@given(ADDRESSES)
def test_the_form_that_is_sent_is_stable(address: str) -> None:
    sent = sendable(address)
    if sent is not None:
        assert sent.isascii()
        assert sent == sent.lower() == sendable(sent)


@pytest.mark.parametrize("address", ["Info@Bücher-Werk.test", BOOKS])
def test_mailchimp_may_have_a_member_under_the_hash_of_either_spelling(address: str) -> None:
    spelled = hashlib.md5("info@bücher-werk.test".encode(), usedforsecurity=False).hexdigest()
    assert member_ids(address) == {subscriber_hash(address), spelled}


@pytest.mark.parametrize("address", ["Ada@acme.test", "ada@xn--nothing-.test", "nobody"])
def test_any_other_address_has_one_hash(address: str) -> None:
    assert member_ids(address) == {subscriber_hash(address)}


@pytest.mark.parametrize(("text", "may"), [("a@b", True), ("a\uff20b", True), ("a\ufe6bb", True), ("ann.lee", False)])
def test_an_at_in_any_spelling_may_be_an_address(text: str, *, may: bool) -> None:
    assert may_hold_address(text) is may
