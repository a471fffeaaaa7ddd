"""An API key is sent only to the configured address over a verified connection."""

import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailchimp_pipeline.connections import API_ROOT
from mailchimp_pipeline.mailchimp.api_errors import Unavailable
from mailchimp_pipeline_tests.mailchimp.builders import A_KEY, a_client
from mailchimp_pipeline_tests.mailchimp.scripted import Reply, scripted
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS

AN_ACCOUNT = Reply(body={"account_id": "x1", "account_name": "Acme", "role": "owner"})
NAMES_OF_PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
NAMES_OF_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
LOOPBACK = "127.0.0.1"


@contextmanager
def listening(context: ssl.SSLContext | None = None) -> Generator[tuple[int, list[bytes]]]:
    """Listen on a free port; yield it with the first bytes of the first client."""
    heard: list[bytes] = []
    with socket.create_server((LOOPBACK, 0)) as listener:

        def listen() -> None:
            with suppress(OSError):  # for example a handshake that the client aborts
                caller, _ = listener.accept()
                with context.wrap_socket(caller, server_side=True) if context else caller as connection:
                    heard.extend(filter(None, [connection.recv(4096)]))

        thread = Thread(target=listen, daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        with suppress(OSError):
            socket.create_connection((LOOPBACK, listener.getsockname()[1]), TIMEOUT_SECONDS).close()
        thread.join(TIMEOUT_SECONDS)


def a_certificate(directory: Path) -> Path:
    """Return a file with a self-signed certificate for this machine and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, LOOPBACK)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(LOOPBACK))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = directory / "own.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as (port, heard), scripted(AN_ACCOUNT) as script, a_client(script.root) as client:
        for name in NAMES_OF_PROXIES:
            monkeypatch.setenv(name, f"http://{LOOPBACK}:{port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert client.account().account_name == "Acme"
        assert heard == []


def test_proxies_of_the_environment_are_ignored_for_https(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as (proxy, by_proxy), listening() as (port, heard):
        for name in NAMES_OF_PROXIES:
            monkeypatch.setenv(name, f"http://{LOOPBACK}:{proxy}")
        with a_client(f"https://{LOOPBACK}:{port}/3.0") as client, pytest.raises(Unavailable):
            client.account()
    assert (by_proxy, heard[0][:1]) == ([], b"\x16")  # a TLS handshake with the host itself


def test_no_password_of_the_environment_takes_the_place_of_the_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text(f"machine {LOOPBACK} login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with scripted(AN_ACCOUNT) as script, a_client(script.root) as client:
        client.account()
        client.account()
    assert len({asked.headers["Authorization"] for asked in script.requests}) == 1
    assert "c29tZWJvZHk6ZWxzZQ" not in script.requests[0].headers["Authorization"]


def test_an_untrusted_certificate_is_rejected_in_any_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = a_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    for name in NAMES_OF_CERTIFICATES:
        monkeypatch.setenv(name, str(file))
    with (
        listening(context) as (port, heard),
        a_client(f"https://{LOOPBACK}:{port}/3.0") as client,
        pytest.raises(Unavailable, match="certificate is not good"),
    ):
        client.account()
    assert heard == []


def test_a_proxy_that_is_set_leads_to_mailchimps_own_host_and_reads_nothing() -> None:
    with (
        listening() as (port, heard),
        a_client(API_ROOT, proxy=f"http://{LOOPBACK}:{port}") as client,
        pytest.raises(Unavailable),
    ):
        client.account()
    data_center = A_KEY.rpartition("-")[2]
    assert heard[0].startswith(f"CONNECT {data_center}.api.mailchimp.com:443 ".encode())
    assert b"Authorization" not in heard[0]
