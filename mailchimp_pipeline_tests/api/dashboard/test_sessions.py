"""Sign-in and sessions: one-time tokens, cookies, their ends, and what is no session."""

from base64 import b64decode, b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey
from starlette.requests import Request
from starlette.responses import Response

from api.auth import (
    AUDIENCE,
    MAX_SIGN_IN_LIFETIME,
    SIGN_IN_AUDIENCE,
    Authenticator,
    Caller,
    SharedSecret,
    TokenNotMade,
    Unauthenticated,
    make_token,
)
from api.dashboard.sessions import COOKIE, SESSION_LIFETIME, Sessions, sign_in_link
from api.trpc import Role
from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline_tests.api.dashboard.visitor import (
    Visitor,
    a_sign_in_token,
    a_visitor,
    cookie_of,
    sign_in,
)
from mailchimp_pipeline_tests.api.procedures.stage import Tenant
from mailchimp_pipeline_tests.api.served import OTHER_SECRET, SECRET, a_token
from mailchimp_pipeline_tests.api.trpc.wire import send
from mailchimp_pipeline_tests.database.builders import KEYRING

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALICE = Caller("alice", "acme", Role.EDITOR)


class Times:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def sessions(keyring: Keyring = KEYRING, clock: Times | None = None) -> Sessions:
    now = clock or Times()
    return Sessions(Authenticator(SharedSecret(SECRET), keyring, now=now), keyring, now=now)


def a_request(cookie: str | None = None, *, host: str = "pipeline.acme.test") -> Request:
    headers = [(b"host", host.encode())]
    if cookie is not None:
        headers.append((b"cookie", f"__Host-{COOKIE}={cookie}".encode("latin-1")))
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers})


def started(of: Sessions, *, host: str = "pipeline.acme.test") -> str:
    """Start a session, and return the header that sets its cookie."""
    response = Response()
    of.start(ALICE, a_request(host=host), response)
    return response.headers["set-cookie"]


def a_cookie(of: Sessions) -> str:
    return started(of).partition(";")[0].partition("=")[2]


def refusal(of: Sessions, cookie: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        of.caller(a_request(cookie))
    return str(refused.value)


def a_signed_token(**claims: object) -> str:
    usual = {"sub": "alice", "org": "acme", "role": "editor", "aud": SIGN_IN_AUDIENCE, "jti": "1"}
    times = {"iat": NOW.timestamp(), "exp": (NOW + timedelta(minutes=5)).timestamp()}
    given = {name: value for name, value in (usual | times | claims).items() if value is not None}
    return jwt.encode({"alg": "HS256"}, given, OctKey.import_key(SECRET.encode()), ["HS256"])


def test_a_sign_in_token_starts_a_session_of_its_caller(tenant: Tenant) -> None:
    visitor = a_visitor(tenant, role=Role.VIEWER)
    page = visitor.visit("/").body.decode()
    assert f"<strong>{tenant.organisation_id}</strong>" in page
    assert ">viewer<" in page


def test_a_link_asks_whether_to_sign_in(tenant: Tenant) -> None:
    token = a_sign_in_token(tenant, role=Role.EDITOR)
    answer = send(tenant.stage.port, f"/sign-in?token={token}", "GET", None, {})
    page = answer.body.decode()
    assert (answer.status, "set-cookie" in answer.headers) == (200, False)
    assert all(shown in page for shown in (tenant.organisation_id, tenant.actor, "editor"))
    assert cookie_of(sign_in(tenant.stage, token))


def test_a_form_of_another_site_asks_whether_to_sign_in(tenant: Tenant) -> None:
    token = a_sign_in_token(tenant)
    answer = sign_in(tenant.stage, token, origin="https://platform.test")
    assert (answer.status, "set-cookie" in answer.headers) == (200, False)
    assert f'name="token" value="{token}"' in answer.body.decode()
    assert sign_in(tenant.stage, token).status == 303


def test_a_used_link_does_not_ask(tenant: Tenant) -> None:
    token = a_sign_in_token(tenant)
    sign_in(tenant.stage, token)
    answer = send(tenant.stage.port, f"/sign-in?token={token}", "GET", None, {})
    assert answer.status == 401
    assert "used before" in answer.body.decode()


def test_a_sign_in_token_is_valid_for_an_hour_at_most() -> None:
    longer = (NOW + MAX_SIGN_IN_LIFETIME + timedelta(minutes=1)).timestamp()
    with pytest.raises(Unauthenticated, match="an hour is the most"):
        sessions().check(a_signed_token(exp=longer))
    with pytest.raises(TokenNotMade, match="an hour at most"):
        make_token(SECRET, organisation_id="acme", actor="a", role=Role.ADMIN, now=NOW, audience=SIGN_IN_AUDIENCE)


def test_a_sign_in_token_works_once(tenant: Tenant) -> None:
    token = a_sign_in_token(tenant)
    first, second = sign_in(tenant.stage, token), sign_in(tenant.stage, token)
    assert (first.status, second.status) == (303, 401)
    assert "set-cookie" not in second.headers
    assert "This sign-in link was used before" in second.body.decode()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"now": utc_now() - timedelta(hours=1)}, "has expired"),
        ({"audience": AUDIENCE}, f"its audience (aud) must be {SIGN_IN_AUDIENCE}"),
        ({"secret": OTHER_SECRET}, "signed with another key"),
    ],
)
def test_a_token_that_signs_nobody_in_is_told_why(tenant: Tenant, changed: dict[str, object], reason: str) -> None:
    answer = sign_in(tenant.stage, a_sign_in_token(tenant, **changed))  # pyright: ignore[reportArgumentType]
    assert (answer.status, "set-cookie" in answer.headers) == (401, False)
    assert reason in answer.body.decode()


@pytest.mark.parametrize("token", ["", "a.b.c", "ü", "\N{EURO SIGN}.\0.\N{PILE OF POO}", "a" * 9000])
def test_any_text_for_a_sign_in_token_is_refused_as_one(tenant: Tenant, token: str) -> None:
    assert sign_in(tenant.stage, token).status == 401


@pytest.mark.parametrize("jti", [None, ""])
def test_a_token_without_an_id_could_be_used_twice_and_is_refused(jti: str | None) -> None:
    with pytest.raises(Unauthenticated, match=r"no id \(jti\)"):
        sessions().sign_in(a_signed_token(jti=jti))


def test_two_issuers_may_give_the_same_id() -> None:
    accepting = sessions()
    assert [accepting.sign_in(a_signed_token(iss=issuer)).actor for issuer in ("one", "two", None)] == ["alice"] * 3
    with pytest.raises(Unauthenticated, match="used before"):
        accepting.sign_in(a_signed_token(iss="two"))


def test_a_used_token_is_remembered_for_as_long_as_its_time_is_accepted() -> None:
    clock = Times()
    accepting = sessions(clock=clock)
    token = a_signed_token()
    accepting.sign_in(token)
    clock.now += timedelta(minutes=5, seconds=29)
    with pytest.raises(Unauthenticated, match="used before"):
        accepting.sign_in(token)


def test_a_session_ends_after_its_lifetime() -> None:
    clock = Times()
    kept = sessions(clock=clock)
    cookie = a_cookie(kept)
    clock.now += SESSION_LIFETIME - timedelta(seconds=1)
    assert kept.caller(a_request(cookie)) == ALICE
    clock.now += timedelta(seconds=1)
    assert refusal(kept, cookie) == "The session has expired: sign in again"


def test_a_cookie_is_not_readable_by_scripts_and_not_sent_by_other_sites() -> None:
    _, *attributes = started(sessions()).split("; ")
    assert sorted(attributes) == ["HttpOnly", "Max-Age=43200", "Path=/", "SameSite=strict", "Secure"]


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000"])
def test_on_this_machine_a_cookie_needs_no_tls(host: str) -> None:
    assert "Secure" not in started(sessions(), host=host)
    assert "Secure" in started(sessions(), host=f"{host.partition(':')[0].strip('[')}.evil.test")


def test_a_session_survives_the_rotation_of_the_encryption_keys() -> None:
    rotated = Keyring({"second": b"2" * 32, "first": b"1" * 32})
    assert sessions(rotated).caller(a_request(a_cookie(sessions()))) == ALICE


def test_a_cookie_of_another_keyring_is_no_session() -> None:
    for other in ({"other": b"2" * 32}, {"first": b"2" * 32}):
        assert "not valid" in refusal(sessions(), a_cookie(sessions(Keyring(other))))


@pytest.mark.parametrize("organisation_id", ["acme", "dashboard-session", ""])
def test_an_encrypted_api_key_is_no_session(organisation_id: str) -> None:
    for secret in ("0123456789abcdef0123456789abcdef-us6", '{"actor":"a","organisation_id":"acme","role":"admin"}'):
        assert "not valid" in refusal(sessions(), KEYRING.encrypt(secret, organisation_id))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "null",
        '{"actor":"a","organisation_id":"acme","role":"admin"}',
        '{"actor":"a","organisation_id":"acme","role":"owner","expires":9e9}',
        '{"actor":"a","organisation_id":"acme","role":"admin","expires":9e9,"more":1}',
    ],
)
def test_a_session_has_all_of_its_fields_and_no_others(content: str) -> None:
    assert "not valid" in refusal(sessions(), KEYRING.encrypt(content, "dashboard session"))


@given(st.data())
def test_a_cookie_changed_anywhere_is_no_session(data: st.DataObject) -> None:
    kept = sessions()
    sealed = bytearray(b64decode(a_cookie(kept)))
    place = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:place] + bytes([data.draw(st.integers(32, 126))]) + sealed[place + 1 :]
    # Base64 has bits at its end that mean nothing, so a changed cookie may be the same session, but never another.
    with suppress(Unauthenticated):
        assert kept.caller(a_request(b64encode(changed).decode())) == ALICE


@given(st.text(st.characters(codec="latin-1", exclude_categories=("Cc",), exclude_characters=";,")))
def test_any_text_for_a_cookie_is_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        sessions().caller(a_request(text))


def test_a_cookie_that_nests_deeply_is_refused(tenant: Tenant) -> None:
    for sealed in ("[" * 5000, '{"protected":' + "[" * 5000):
        visitor = Visitor(tenant, b64encode(sealed.encode()).decode(), "")
        assert visitor.visit("/").status == 401


def test_whose_session_ended_is_told_so_and_whoever_is_new_is_not(tenant: Tenant) -> None:
    ended = Visitor(tenant, a_cookie(Sessions(*authority(tenant), now=lambda: NOW)), "").visit("/segments")
    assert (ended.status, "The session has expired: sign in again" in ended.body.decode()) == (401, True)
    new = send(tenant.stage.port, "/segments", "GET", None, {})
    assert (new.status, 'class="notice bad"' in new.body.decode()) == (401, False)


def authority(tenant: Tenant) -> tuple[Authenticator, Keyring]:
    keyring = tenant.stage.parts.keyring
    return Authenticator(SharedSecret(SECRET), keyring), keyring


def test_a_form_of_an_ended_session_is_refused_and_told_so(connected: Tenant) -> None:
    ended = Visitor(connected, a_cookie(Sessions(*authority(connected), now=lambda: NOW)), "")
    answer = ended.submit("/connection/disconnect")
    assert (answer.status, "The session has expired" in answer.body.decode()) == (401, True)
    assert connected.query("connection.get").data is not None


def test_signing_out_ends_the_session_of_the_browser(tenant: Tenant) -> None:
    answer = a_visitor(tenant).submit("/sign-out")
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in?signed-out")
    assert f'{COOKIE}=""' in answer.headers["set-cookie"]
    assert "Max-Age=0" in answer.headers["set-cookie"]


@pytest.mark.parametrize("origin", [None, "null", "https://evil.test"])
def test_no_other_site_signs_anybody_out(tenant: Tenant, origin: str | None) -> None:
    assert "set-cookie" not in a_visitor(tenant).submit("/sign-out", origin=origin).headers


def test_a_proxy_that_authenticates_needs_no_cookie(tenant: Tenant) -> None:
    header = {"authorization": f"Bearer {a_token(organisation_id=tenant.organisation_id)}"}
    answer = send(tenant.stage.port, "/", "GET", None, header)
    assert (answer.status, tenant.organisation_id in answer.body.decode()) == (200, True)


def test_the_header_of_a_proxy_comes_before_a_cookie(tenant: Tenant) -> None:
    visitor = a_visitor(tenant)
    assert visitor.visit("/", authorization="Bearer a.b.c").status == 401
    other = f"Bearer {a_token(organisation_id='other')}"
    assert tenant.organisation_id not in visitor.visit("/", authorization=other).body.decode()


def test_forms_behind_such_a_proxy_need_origin_and_token_too(connected: Tenant) -> None:
    visitor = a_visitor(connected)
    header = {"authorization": f"Bearer {a_token(organisation_id=connected.organisation_id)}", "cookie": None}
    refused = [
        visitor.submit("/connection/disconnect", origin="https://evil.test", **header),
        visitor.submit("/connection/disconnect", origin=None, **header),
        visitor.submit("/connection/disconnect", {"token": ""}, **header),
    ]
    assert [answer.status for answer in refused] == [403] * 3
    assert connected.query("connection.get").data is not None
    assert visitor.submit("/connection/disconnect", **header).status == 303


def test_the_api_takes_no_cookie(tenant: Tenant) -> None:
    assert a_visitor(tenant).visit("/api/trpc/mailchimp.segments.list").status == 401


def test_a_sign_in_token_is_no_bearer_token(tenant: Tenant) -> None:
    header = {"authorization": f"Bearer {quote(a_sign_in_token(tenant))}"}
    for path in ("/", "/api/trpc/mailchimp.segments.list"):
        assert send(tenant.stage.port, path, "GET", None, header).status == 401


def test_asking_for_the_headers_only_does_not_use_the_token_up(tenant: Tenant) -> None:
    token = a_sign_in_token(tenant)
    assert "set-cookie" not in send(tenant.stage.port, f"/sign-in?token={token}", "HEAD", None, {}).headers
    assert sign_in(tenant.stage, token).status == 303


def test_made_tokens_have_an_id_of_their_own() -> None:
    def made() -> str:
        return make_token(
            SECRET,
            organisation_id="acme",
            actor="a",
            role=Role.ADMIN,
            now=NOW,
            lifetime=MAX_SIGN_IN_LIFETIME,
            audience=SIGN_IN_AUDIENCE,
        )

    accepting = sessions()
    assert accepting.sign_in(made()) == accepting.sign_in(made())


def test_a_whole_link_may_be_pasted(tenant: Tenant) -> None:
    link = sign_in_link(tenant.stage.url, a_sign_in_token(tenant))
    assert cookie_of(sign_in(tenant.stage, f" {link} "))
