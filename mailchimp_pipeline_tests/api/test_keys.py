"""An identity provider's public keys: fetched, cached, replaced and verified."""

import hmac
import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, JWKRegistry, Key, RSAKey
from joserfc.jws import JWSRegistry
from starlette.requests import HTTPConnection

from api.auth import MAX_AGE, REFRESH_PAUSE, Authenticator, PublishedKeys, Unauthenticated, authenticator
from api.trpc import TRPCError
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.database.builders import KEYRING

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLAIMS = {
    "sub": "alice",
    "org": "acme",
    "role": "viewer",
    "aud": "mailchimp-pipeline",
    "exp": (NOW + timedelta(hours=1)).timestamp(),
}
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})


@dataclass
class Provider:
    """An identity provider on loopback, and a clock."""

    keys: list[Any] = field(default_factory=list[Any])
    status: int = 200
    body: bytes | None = None
    asked: int = 0
    seconds: float = 1000.0
    url: str = ""

    def publishes(self, *keys: Key) -> None:
        """Replace the published keys."""
        self.keys = [key.as_dict(private=False) for key in keys]

    def answer(self) -> bytes:
        """Return the JWKS document."""
        self.asked += 1
        return json.dumps({"keys": self.keys}).encode() if self.body is None else self.body


@contextmanager
def a_provider(*keys: Key) -> Generator[tuple[Provider, Authenticator]]:
    """Run an identity provider; yield it with a token verifier for its keys."""
    provider = Provider()
    provider.publishes(*keys)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = provider.answer()
            self.send_response(provider.status)
            self.send_header("location", "/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's names
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            published = PublishedKeys(provider.url, clock=lambda: provider.seconds)
            yield provider, Authenticator(published, KEYRING, now=lambda: NOW)
        finally:
            server.shutdown()
            thread.join()


def signed(key: Key, algorithm: str, kid: str | None = None) -> HTTPConnection:
    header = {"alg": algorithm, "nonce": "of the issuer", **({"kid": kid} if kid else {})}
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return sent(jwt.encode(header, CLAIMS, key, registry=registry).encode())


def sent(token: bytes) -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [(b"authorization", b"Bearer " + token)]})


def _in_base64(text: bytes) -> bytes:
    return urlsafe_b64encode(text).rstrip(b"=")


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256")])
def test_a_published_key_verifies(key: Key, algorithm: str) -> None:
    with a_provider(RSA, EC) as (provider, authenticate):
        assert authenticate(signed(key, algorithm, key.kid)).actor == "alice"
        assert authenticate(signed(key, algorithm, key.kid)).actor == "alice"
    assert provider.asked == 1


def test_the_url_of_the_settings_is_asked() -> None:
    with a_provider(EC) as (provider, _):
        settings = Settings.from_environment({"MAILCHIMP_PIPELINE_JWKS_URL": provider.url})
        assert authenticator(settings, KEYRING, now=lambda: NOW)(signed(EC, "ES256", "ec")).organisation_id == "acme"


def test_no_proxy_of_the_environment_answers_in_the_place_of_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    forged = ECKey.generate_key("P-256", {"kid": "ec"})
    with a_provider(forged) as (proxy, _), a_provider(EC) as (provider, authenticate):
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)

        assert authenticate(signed(EC, "ES256", "ec"))
        with pytest.raises(Unauthenticated, match="signed with another key"):
            authenticate(signed(forged, "ES256", "ec"))
    assert (provider.asked, proxy.asked) == (1, 0)


@pytest.mark.parametrize("keys", [(EC,), (RSA, EC)])
def test_a_token_without_a_key_id_is_good_where_there_is_but_one_key(keys: tuple[Key, ...]) -> None:
    with a_provider(*keys) as (_, authenticate):
        if len(keys) == 1:
            assert authenticate(signed(EC, "ES256"))
        else:
            with pytest.raises(Unauthenticated, match="does not publish"):
                authenticate(signed(EC, "ES256"))


def test_a_public_key_is_no_shared_secret() -> None:
    token = _in_base64(b'{"alg":"HS256","kid":"rsa"}') + b"." + _in_base64(json.dumps(CLAIMS).encode())
    forged = token + b"." + _in_base64(hmac.digest(RSA.as_pem(private=False), token, "sha256"))

    with a_provider(RSA) as (provider, authenticate), pytest.raises(Unauthenticated, match="must be RS256 or ES256"):
        authenticate(sent(forged))
    assert provider.asked == 0


def test_a_key_that_the_token_brings_along_is_not_taken() -> None:
    mine = ECKey.generate_key("P-256")
    header = {"alg": "ES256", "jwk": mine.as_dict(private=False), "jku": "https://evil.example.com/jwks.json"}
    registry = JWSRegistry(algorithms=["ES256"], strict_check_header=False)

    with a_provider(EC) as (_, authenticate), pytest.raises(Unauthenticated, match="signed with another key"):
        authenticate(sent(jwt.encode(header, CLAIMS, mine, registry=registry).encode()))


def test_a_key_of_another_kind_than_the_token_says_is_refused() -> None:
    with a_provider(RSA, EC) as (_, authenticate), pytest.raises(Unauthenticated, match="cannot be read"):
        authenticate(signed(EC, "ES256", "rsa"))


def test_a_secret_or_a_key_for_encryption_is_not_taken_from_what_is_published() -> None:
    for_encryption = JWKRegistry.import_key({**RSA.as_dict(private=False), "use": "enc", "kid": "enc"})

    with a_provider(EC) as (provider, authenticate):
        provider.keys += [for_encryption.as_dict(), {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"}, {"kty": "RSA"}]
        with pytest.raises(Unauthenticated, match="does not publish"):
            authenticate(signed(RSA, "RS256", "enc"))


def test_a_new_key_is_fetched_when_a_token_names_it() -> None:
    with a_provider(RSA) as (provider, authenticate):
        authenticate(signed(RSA, "RS256", "rsa"))
        provider.publishes(RSA, EC)
        provider.seconds += REFRESH_PAUSE

        assert authenticate(signed(EC, "ES256", "ec"))
    assert provider.asked == 2


def test_made_up_key_ids_do_not_become_requests_to_the_provider() -> None:
    with a_provider(RSA) as (provider, authenticate):
        for number in range(5):
            with pytest.raises(Unauthenticated, match="does not publish"):
                authenticate(signed(EC, "ES256", f"made-up-{number}"))
    assert provider.asked == 1


def test_a_withdrawn_key_is_forgotten_after_a_while() -> None:
    with a_provider(RSA, EC) as (provider, authenticate):
        authenticate(signed(EC, "ES256", "ec"))
        provider.publishes(RSA)
        provider.seconds += MAX_AGE + 1

        with pytest.raises(Unauthenticated, match="does not publish"):
            authenticate(signed(EC, "ES256", "ec"))


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, None), (302, None), (200, b"<html>"), (200, b'{"keys":[]}'), (200, b"[" * 300_000)],
)
def test_where_the_provider_fails_the_old_keys_stay(status: int, body: bytes | None) -> None:
    with a_provider(EC) as (provider, authenticate):
        authenticate(signed(EC, "ES256", "ec"))
        provider.status, provider.body = status, body
        provider.seconds += MAX_AGE + 1

        assert authenticate(signed(EC, "ES256", "ec"))
        with pytest.raises(TRPCError, match="the identity provider does not answer") as caught:
            authenticate(signed(RSA, "RS256", "rsa"))
    assert (caught.value.code, caught.value.retry_after) == ("SERVICE_UNAVAILABLE", 30)


def test_a_provider_that_is_away_is_told_from_a_bad_token() -> None:
    with a_provider(EC) as (_, authenticate):
        pass

    with pytest.raises(TRPCError) as caught:
        authenticate(signed(EC, "ES256", "ec"))
    assert caught.value.code == "SERVICE_UNAVAILABLE"


def test_many_threads_that_need_a_key_at_once_fetch_it_once() -> None:
    answers: list[str] = []
    with a_provider(EC) as (provider, authenticate):
        threads = [
            threading.Thread(target=lambda: answers.append(authenticate(signed(EC, "ES256", "ec")).actor))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == ["alice"] * 8
    assert provider.asked == 1
