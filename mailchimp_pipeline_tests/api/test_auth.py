"""Authentication: valid tokens, invalid tokens, and text that is no token."""

import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey
from starlette.requests import HTTPConnection

from api.auth import (
    AUDIENCE,
    MAX_LIFETIME,
    SIGN_IN_AUDIENCE,
    Authenticator,
    Caller,
    SharedSecret,
    TokenNotMade,
    Unauthenticated,
    authenticator,
    make_token,
)
from api.trpc import Role
from mailchimp_pipeline.settings import Settings, SettingsError
from mailchimp_pipeline_tests.api.served import OTHER_SECRET, SECRET, a_token, an_api
from mailchimp_pipeline_tests.database.builders import KEYRING

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

authenticate = Authenticator(SharedSecret(SECRET), KEYRING, now=lambda: NOW)


def asked_with(*headers: str) -> HTTPConnection:
    raw = [(b"authorization", header.encode("latin-1", "replace")) for header in headers]
    return HTTPConnection({"type": "http", "headers": raw})


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> HTTPConnection:  # noqa: ANN401 - whatever JSON holds
    good = {"sub": "alice", "org": "acme", "role": "editor", "aud": "mailchimp-pipeline", "exp": at(hours=1)}
    given = {name: value for name, value in {**good, **claims}.items() if value is not None}
    token = jwt.encode({"alg": algorithm}, given, OctKey.import_key(secret.encode()), [algorithm])
    return asked_with(f"Bearer {token}")


def at(**away: float) -> float:
    return (NOW + timedelta(**away)).timestamp()


def refusal(connection: HTTPConnection) -> str:
    with pytest.raises(Unauthenticated) as caught:
        authenticate(connection)
    assert caught.value.code == "UNAUTHORIZED"
    return str(caught.value)


def test_a_token_says_who_calls() -> None:
    token = a_token(organisation_id="acme", actor="alice", role=Role.EDITOR, now=NOW)

    assert authenticate(asked_with(f"bearer {token}")) == Caller("alice", "acme", Role.EDITOR)


ADDRESS = "ann@acme.test"


@pytest.mark.parametrize("sub", [ADDRESS, "ann\uff20acme.test", f"samlp|acme|{ADDRESS}", "user-0123456789abcdef"])
def test_an_address_is_recorded_as_a_keyed_hash_and_nobody_can_choose_the_hash_of_another(sub: str) -> None:
    actor = authenticate(signed(sub=sub)).actor
    assert re.fullmatch(r"user-[0-9a-f]{16}", actor)
    assert actor == authenticate(signed(sub=sub)).actor
    assert actor not in {sub, authenticate(signed(sub=sub, org="globex")).actor}


def test_two_addresses_are_two_actors() -> None:
    assert authenticate(signed(sub=ADDRESS)).actor != authenticate(signed(sub="bob@acme.test")).actor


@pytest.mark.parametrize("sub", ["auth0|507f1f77bcf86cd799439011", "user-ann", "248289761001"])
def test_any_other_sub_is_recorded_as_it_is(sub: str) -> None:
    assert authenticate(signed(sub=sub)).actor == sub


def test_the_audience_may_be_one_of_many() -> None:
    assert authenticate(signed(aud=["payroll", "mailchimp-pipeline"])).actor == "alice"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": at(minutes=-1)}, "has expired"),
        ({"exp": at(days=31)}, "good for too long"),
        ({"exp": 10**400}, "exp are missing or wrong"),
        ({"exp": "tomorrow"}, "exp are missing or wrong"),
        ({"exp": None}, "exp are missing or wrong"),
        ({"nbf": at(minutes=1)}, "not good yet"),
        ({"iat": at(minutes=1)}, "not good yet"),
        ({"aud": "payroll"}, "for another service"),
        ({"aud": []}, "for another service"),
        ({"aud": None, "role": "owner"}, "aud, role are missing or wrong"),
        ({"org": "acme/1"}, "no organisation's id"),
        ({"org": ""}, "no organisation's id"),
        ({"jti": 5}, "jti are missing or wrong"),
        ({"sub": "al\x00ice"}, "printable characters"),
        ({"sub": "mailchimp-pipeline"}, "none of the pipeline's own names"),
        ({"sub": " Mailchimp"}, "none of the pipeline's own names"),
        ({"sub": "command line"}, "none of the pipeline's own names"),
    ],
)
def test_a_claim_that_is_wrong_is_named(claims: dict[str, Any], reason: str) -> None:
    assert reason in refusal(signed(**claims))


def test_clocks_may_be_apart_by_half_a_minute() -> None:
    assert authenticate(signed(exp=at(seconds=-29), iat=at(seconds=29), nbf=at(seconds=29)))


def test_a_token_of_another_secret_is_refused() -> None:
    assert "signed with another key" in refusal(signed(OTHER_SECRET))


@pytest.mark.parametrize("algorithm", ["none", "HS512"])
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_only_the_configured_algorithm_is_accepted(algorithm: str) -> None:
    assert "it must be HS256" in refusal(signed(algorithm=algorithm))


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ((), "Sign in first"),
        (("Basic YTpi",), "must be one: `Bearer`"),
        (("Bearer a", "Bearer b"), "must be one: `Bearer`"),
        (("Bearer a.b.c",), "cannot be read"),
        (("Bearer " + "a" * 9000,), "too long"),
    ],
)
def test_a_header_without_a_token_is_told_what_to_send(headers: tuple[str, ...], reason: str) -> None:
    assert reason in refusal(asked_with(*headers))


@given(st.text(st.characters(codec="latin-1", exclude_characters=" ")))
def test_any_text_for_a_token_is_refused_as_one(text: str) -> None:
    refusal(asked_with(f"Bearer {text}"))


@given(st.data())
def test_a_token_changed_anywhere_is_refused(data: st.DataObject) -> None:
    token = a_token(now=NOW)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters(codec="ascii", min_codepoint=33))
    changed = token[:place] + letter + token[place + 1 :]

    if changed[:-1] != token[:-1]:
        refusal(asked_with(f"Bearer {changed}"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("sub", "org", "role", "aud", "exp", "nbf", "iat", "x"), json_values)
    )
)
def test_any_claims_rightly_signed_are_answered(claims: dict[str, Any]) -> None:
    try:
        connection = signed(**claims)
    except UnicodeEncodeError:
        return
    with suppress(Unauthenticated):
        assert authenticate(connection).role


@pytest.mark.parametrize(
    "wrong",
    [{"organisation_id": "a/b"}, {"organisation_id": ""}, {"actor": ""}, {"actor": "a\nb"}, {"actor": "mailchimp"}],
)
def test_no_token_is_made_that_would_be_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(TokenNotMade):
        a_token(**wrong)  # pyright: ignore[reportArgumentType] - some of its arguments are no texts


@pytest.mark.parametrize("days", [0, -1, 31])
def test_no_token_is_made_for_no_time_or_too_long(days: int) -> None:
    with pytest.raises(TokenNotMade, match="30 days at most"):
        make_token(SECRET, organisation_id="acme", actor="a", role=Role.ADMIN, now=NOW, lifetime=timedelta(days=days))


def test_the_longest_life_of_a_token_is_accepted() -> None:
    assert authenticate(signed(exp=at(days=MAX_LIFETIME.days)))


def test_where_an_issuer_is_set_nobody_elses_tokens_are_good() -> None:
    settings = Settings.from_environment(
        {"MAILCHIMP_PIPELINE_TOKEN_SECRET": SECRET, "MAILCHIMP_PIPELINE_TOKEN_ISSUER": "https://login.example.com/"}
    )
    choosy = authenticator(settings, KEYRING, now=lambda: NOW)

    assert choosy(signed(iss="https://login.example.com/")).actor == "alice"
    for issuer in (None, "", "https://login.example.com", "https://evil.example.com/"):
        with pytest.raises(Unauthenticated, match=r"issuer \(iss\) is not the one"):
            choosy(signed(iss=issuer))


def test_where_no_issuer_is_set_any_will_do_and_one_that_is_no_text_will_not() -> None:
    assert authenticate(signed(iss="anybody")).actor == "alice"
    assert "iss are missing or wrong" in refusal(signed(iss=["anybody"]))


def test_the_token_that_is_made_says_its_issuer() -> None:
    token = make_token(SECRET, organisation_id="acme", actor="a", role=Role.ADMIN, now=NOW, issuer="us")

    assert Authenticator(SharedSecret(SECRET), KEYRING, issuer="us", now=lambda: NOW)(asked_with(f"Bearer {token}"))


def made_for(audience: str) -> str:
    hour = timedelta(hours=1)
    return make_token(
        SECRET, organisation_id="acme", actor="a", role=Role.EDITOR, now=NOW, lifetime=hour, audience=audience
    )


def test_a_sign_in_token_is_good_for_nothing_else_and_has_an_id_of_its_own() -> None:
    first, second = (authenticate.verify(made_for(SIGN_IN_AUDIENCE), audience=SIGN_IN_AUDIENCE) for _ in range(2))
    assert (first.sub, first.org, first.role) == ("a", "acme", Role.EDITOR)
    assert first.jti
    assert first.jti != second.jti
    assert "for another service" in refusal(asked_with(f"Bearer {made_for(SIGN_IN_AUDIENCE)}"))


def test_a_bearer_token_signs_nobody_in() -> None:
    assert authenticate.verify(made_for(AUDIENCE), audience=AUDIENCE).jti is None
    with pytest.raises(Unauthenticated, match=f"must be {SIGN_IN_AUDIENCE}$"):
        authenticate.verify(made_for(AUDIENCE), audience=SIGN_IN_AUDIENCE)


def test_a_sign_in_token_is_verified_as_any_other() -> None:
    choosy = Authenticator(SharedSecret(SECRET), KEYRING, issuer="us", now=lambda: NOW)
    late = Authenticator(SharedSecret(SECRET), KEYRING, now=lambda: NOW + timedelta(days=1))
    foreign = Authenticator(SharedSecret(OTHER_SECRET), KEYRING, now=lambda: NOW)
    for verifying, reason in ((choosy, "issuer"), (late, "expired"), (foreign, "another key")):
        with pytest.raises(Unauthenticated, match=reason):
            verifying.verify(made_for(SIGN_IN_AUDIENCE), audience=SIGN_IN_AUDIENCE)


def headed(header: Mapping[str, object]) -> HTTPConnection:
    """Sign valid claims under any header, including headers that no library writes."""
    claims = {"sub": "alice", "org": "acme", "role": "editor", "aud": "mailchimp-pipeline", "exp": at(hours=1)}
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = urlsafe_b64encode(hmac.digest(SECRET.encode(), b".".join(parts), "sha256")).rstrip(b"=")
    return asked_with(f"Bearer {b'.'.join([*parts, signature]).decode()}")


def test_a_header_parameter_that_must_be_understood_and_is_not_makes_the_token_bad() -> None:
    assert authenticate(headed({"alg": "HS256", "x": 1})).actor == "alice"
    assert "cannot be read" in refusal(headed({"alg": "HS256", "crit": ["x"], "x": 1}))


@pytest.mark.parametrize("crit", [None, 0, True, 1.5, [{}], [["x"]], {"x": 1}])
def test_a_list_of_such_parameters_that_is_none_makes_the_token_bad(crit: object) -> None:
    assert "cannot be read" in refusal(headed({"alg": "HS256", "crit": crit}))


@given(
    st.dictionaries(
        st.sampled_from(("alg", "kid", "crit", "typ", "cty", "jku", "jwk", "x5u", "x5c", "b64")), json_values
    )
)
def test_any_header_is_answered(header: dict[str, Any]) -> None:
    for given_header in (header, {**header, "alg": "HS256"}):
        with suppress(Unauthenticated):
            assert authenticate(headed(given_header)).actor == "alice"


def test_settings_without_a_secret_or_url_are_an_error_that_names_both() -> None:
    with pytest.raises(SettingsError, match="TOKEN_SECRET or MAILCHIMP_PIPELINE_JWKS_URL"):
        authenticator(Settings(), KEYRING)


def test_the_secret_of_the_settings_verifies() -> None:
    settings = Settings.from_environment({"MAILCHIMP_PIPELINE_TOKEN_SECRET": SECRET})

    assert authenticator(settings, KEYRING, now=lambda: NOW)(signed()).organisation_id == "acme"


def test_over_http_every_refusal_is_a_401_with_a_challenge() -> None:
    with an_api() as api:
        answer = api.ask("/api/trpc/notes.whoami,notes.whoami?batch=1", headers={"authorization": "Bearer x"})

    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert [one["error"]["data"]["code"] for one in answer.json] == ["UNAUTHORIZED"] * 2
