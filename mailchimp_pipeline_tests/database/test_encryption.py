"""Encrypted secrets: which keys and organisations can decrypt them, and key rotation."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.database.encryption import Keyring, KeyringInvalid, SecretUnreadable, key_id_of
from mailchimp_pipeline_tests.database.builders import ACME, KEYRING

_KEY = base64.b64encode(b"1" * 32).decode()
_OTHER = base64.b64encode(b"2" * 32).decode()


@given(
    secret=st.text(st.characters(exclude_categories=["Cs"])),
    organisation_id=st.text(st.characters(codec="utf-8"), min_size=1),
)
def test_a_secret_comes_back_as_it_was(secret: str, organisation_id: str) -> None:
    token = KEYRING.encrypt(secret, organisation_id)
    assert KEYRING.decrypt(token, organisation_id) == secret


def test_a_token_is_a_jwe_in_base64_that_names_its_key_and_hides_the_secret() -> None:
    token = json.loads(base64.b64decode(KEYRING.encrypt("the secret", ACME)))
    header = json.loads(base64.urlsafe_b64decode(token["protected"] + "=="))
    assert header == {"alg": "dir", "enc": "A256GCM", "kid": "first"}
    assert base64.urlsafe_b64decode(token["aad"] + "==") == ACME.encode()


def test_two_tokens_of_one_secret_differ() -> None:
    assert KEYRING.encrypt("the secret", ACME) != KEYRING.encrypt("the secret", ACME)


def test_a_token_in_another_organisations_row_does_not_decrypt() -> None:
    token = KEYRING.encrypt("the secret", ACME)
    with pytest.raises(SecretUnreadable, match="belongs to another organisation"):
        KEYRING.decrypt(token, "globex")


@given(field=st.sampled_from(["protected", "iv", "ciphertext", "tag"]), place=st.integers(0, 1000), data=st.data())
def test_a_token_with_any_bit_changed_does_not_decrypt(field: str, place: int, data: st.DataObject) -> None:
    token = json.loads(base64.b64decode(KEYRING.encrypt("the secret", ACME)))
    content = bytearray(base64.urlsafe_b64decode(token[field] + "=="))
    content[place % len(content)] ^= 1 << data.draw(st.integers(0, 7))
    token[field] = base64.urlsafe_b64encode(content).rstrip(b"=").decode()
    with pytest.raises(SecretUnreadable):
        KEYRING.decrypt(base64.b64encode(json.dumps(token).encode()).decode(), ACME)


@pytest.mark.parametrize("token", ["", "not base64", "e30=", "bnVsbA==", "W10=", base64.b64encode(b"x").decode()])
def test_an_invalid_token_is_reported_as_altered(token: str) -> None:
    with pytest.raises(SecretUnreadable, match="altered"):
        KEYRING.decrypt(token, ACME)


def test_every_key_decrypts_and_the_first_encrypts() -> None:
    before, after = Keyring.parse(f"1:{_KEY}"), Keyring.parse(f"2:{_OTHER}, 1:{_KEY}")
    old = before.encrypt("the secret", ACME)
    assert after.decrypt(old, ACME) == "the secret"
    assert key_id_of(after.encrypt("the secret", ACME)) == "2"


def test_a_token_of_a_key_that_is_gone_names_the_key() -> None:
    token = Keyring.parse(f"1:{_KEY}").encrypt("the secret", ACME)
    with pytest.raises(SecretUnreadable, match=r"not in MAILCHIMP_PIPELINE_ENCRYPTION_KEYS.*key '1'"):
        Keyring.parse(f"2:{_OTHER}").decrypt(token, ACME)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must begin with an id"),
        (_KEY, "must begin with an id"),
        (f"1:{_KEY},1:{_OTHER}", "Two keys .* have the id '1'"),
        ("1:***", "is not base64"),
        (f"1:{base64.b64encode(b'short').decode()}", "must have 32 bytes"),
    ],
)
def test_an_unusable_ring_says_what_to_do_and_shows_no_key(text: str, problem: str) -> None:
    with pytest.raises(KeyringInvalid, match=problem) as raised:
        Keyring.parse(text)
    assert "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS" in str(raised.value)
    assert _KEY not in str(raised.value)


def test_a_ring_without_keys_is_unusable() -> None:
    with pytest.raises(KeyringInvalid, match="no key to encrypt with"):
        Keyring({})


def test_a_ring_shows_ids_and_no_key() -> None:
    assert repr(Keyring.parse(f"2:{_OTHER},1:{_KEY}")) == "Keyring(2, 1)"
