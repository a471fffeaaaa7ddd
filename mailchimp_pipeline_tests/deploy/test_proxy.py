"""nginx with the shipped configuration, in front of the API."""

import json
import re
import select
import shutil
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.auth import MAX_TOKEN_LENGTH
from api.trpc import CODES, Kind, Limits, Procedures
from mailchimp_pipeline.local.stack import free_port
from mailchimp_pipeline.settings import PROJECT_ROOT
from mailchimp_pipeline_tests.api.node_tools import skip_without
from mailchimp_pipeline_tests.api.served import a_token, an_api, notes
from mailchimp_pipeline_tests.api.trpc.sample import Gate, returns
from mailchimp_pipeline_tests.api.trpc.wire import Answer, Wire, is_listening, send
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS, eventually

CONFIGURATION = (PROJECT_ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
LONG = "x" * 16 * 1024 * 1024
TYPED = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Proxy:
    """nginx in front of a small API."""

    port: int
    gate: Gate

    def ask(self, target: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        return send(self.port, target, method, body, headers)

    def call(self, path: str, **claims: Any) -> Answer:  # noqa: ANN401 - as `a_token` takes them
        return self.ask(f"/api/trpc/{path}", authorization=f"Bearer {a_token(**claims)}")

    @contextmanager
    def connected(self) -> Generator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_SECONDS) as client:
            yield client


@contextmanager
def nginx(api: str, port: int, home: Path, *changes: tuple[str, str]) -> Generator[None]:
    """Run nginx with the shipped configuration, except for addresses, directories and the given changes."""
    skip_without("nginx", why="install the Debian package nginx to test the proxy")
    here = (("/tmp/", f"{home}/"), ("http://api:8000", api), ("listen 8080", f"listen 127.0.0.1:{port}"))  # noqa: S108
    text = CONFIGURATION
    for pattern, replacement in (*here, *changes):
        text, count = re.subn(pattern, replacement, text)
        assert count, f"{pattern} is not in nginx.conf"
    (home / "nginx.conf").write_text(text)
    with subprocess.Popen([str(shutil.which("nginx")), "-c", home / "nginx.conf"], stderr=subprocess.PIPE) as process:
        try:
            eventually(lambda: is_listening(port) or process.poll() is not None)
            yield
        finally:
            process.terminate()
            said = process.communicate()[1]
    assert said == b""


@contextmanager
def a_proxy(home: Path, *changes: tuple[str, str]) -> Generator[Proxy]:
    gate, port = Gate(Kind.QUERY), free_port()
    procedures = Procedures(notes, gate.procedure, returns(str, LONG, "long"))
    with an_api(procedures=procedures) as api, nginx(api.url, port, home, *changes):
        yield Proxy(port, gate)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Generator[Proxy]:
    with a_proxy(tmp_path_factory.mktemp("nginx")) as served:
        yield served


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Generator[Proxy]:
    """Run a proxy with time-outs of half a second."""
    with a_proxy(tmp_path_factory.mktemp("nginx"), (r"_timeout (15|30)s;", "_timeout 500ms;")) as served:
        yield served


def read_until_closed(client: socket.socket) -> bytes:
    came = bytearray()
    with suppress(ConnectionError):
        while piece := client.recv(1 << 20):
            came += piece
    return bytes(came)


def a_head(token: str = "", *, length: int) -> bytes:
    lines = ["POST /api/trpc/notes.write HTTP/1.1", "host: x", f"authorization: Bearer {token}"]
    return "\r\n".join([*lines, "content-type: application/json", f"content-length: {length}", "", ""]).encode()


def refusal(answer: Answer) -> str:
    """Return the code of an error in the API's format."""
    code = answer.error["data"]["code"]
    assert (answer.error["code"], answer.error["data"]["httpStatus"]) == CODES[code]
    assert answer.status == CODES[code].http
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    return code


def test_calls_and_their_errors_pass(proxy: Proxy) -> None:
    assert proxy.call("notes.whoami").data == "alice@acme as admin"
    assert len(proxy.call("notes.whoami%2Cnotes.whoami?batch=1").json) == 2
    assert proxy.ask("/api/trpc/notes.whoami").error["data"]["code"] == "UNAUTHORIZED"
    assert proxy.call("%ff").error["message"] == 'Invalid URL-encoding in path "%ff"'


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
def test_documents_and_probes_pass(proxy: Proxy, path: str) -> None:
    assert proxy.ask(path).status == 200


@pytest.mark.parametrize("path", ["/metrics", "/", "/nope", "/refused"])
def test_nothing_else_passes(proxy: Proxy, path: str) -> None:
    assert refusal(proxy.ask(path)) == "NOT_FOUND"


def test_a_stream_passes_as_it_comes(proxy: Proxy) -> None:
    headers = {"authorization": f"Bearer {a_token()}", "trpc-accept": "application/jsonl"}
    with Wire(proxy.port).listening("gate,notes.whoami?batch=1", headers) as coming:
        lines = [json.loads(next(coming)) for _ in range(2)]
        assert not proxy.gate.finished.is_set()
        proxy.gate.opened.set()
        lines += map(json.loads, coming)
    assert [line[0] for line in lines[1:]] == [1, 0]


def test_the_token_is_checked_before_the_body_comes(proxy: Proxy) -> None:
    with proxy.connected() as client:
        client.sendall(a_head(length=1_000_000))
        assert client.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_what_is_too_large_is_refused(proxy: Proxy) -> None:
    assert refusal(proxy.ask("/api/trpc/notes.write", "POST", "x" * 1_100_000, **TYPED)) == "PAYLOAD_TOO_LARGE"
    answer = proxy.ask(f"/api/trpc/notes.find?input={'x' * 33_000}")
    assert (answer.status, answer.error["data"]["code"]) == (414, "PAYLOAD_TOO_LARGE")
    assert proxy.ask("/healthz", cookie="x" * 33_000).error["data"]["code"] == "BAD_REQUEST"


def test_the_largest_request_of_the_api_passes(proxy: Proxy) -> None:
    limits = Limits()
    body = json.dumps({"text": "x" * (limits.body_bytes - 12)})
    known = TYPED | {"authorization": f"Bearer {a_token()}"}
    assert proxy.ask("/api/trpc/notes.write", "POST", body, **known).data == limits.body_bytes - 12
    longest = {"authorization": "x" * (MAX_TOKEN_LENGTH + 10)}
    assert proxy.ask(f"/api/trpc/notes.find?input={'x' * (limits.url_bytes - 100)}", **longest).status == 401


@pytest.mark.parametrize("sent", [b"\x16\x03\x01 hello\r\n\r\n", b"GET / HTTP/1.1\r\n\x00\r\n\r\n"])
def test_what_is_no_http_is_answered_in_json(proxy: Proxy, sent: bytes) -> None:
    with proxy.connected() as client:
        client.sendall(sent)
        answer = read_until_closed(client)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["data"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("sent", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nhost: x\r\n"])
def test_a_request_that_is_never_whole_is_cut_off(impatient: Proxy, sent: bytes) -> None:
    with impatient.connected() as client:
        client.sendall(sent)
        assert b"200 OK" not in read_until_closed(client)


def test_a_body_that_does_not_come_is_cut_off(impatient: Proxy) -> None:
    with impatient.connected() as client:
        client.sendall(a_head(a_token(), length=100) + b'{"text"')
        assert b"200 OK" not in read_until_closed(client)


def test_a_connection_without_a_further_request_is_closed(impatient: Proxy) -> None:
    with impatient.connected() as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert read_until_closed(client).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_does_not_read_its_answer_is_cut_off(impatient: Proxy) -> None:
    request = f"GET /api/trpc/long HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {a_token()}\r\n\r\n"
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.settimeout(TIMEOUT_SECONDS)
        client.connect(("127.0.0.1", impatient.port))
        client.sendall(request.encode())
        watch = select.poll()
        watch.register(client, select.POLLHUP)
        assert watch.poll(TIMEOUT_SECONDS * 1000), "nobody cut the connection"
        assert len(read_until_closed(client)) < len(LONG)


def test_a_client_that_reads_its_answer_gets_all_of_it(impatient: Proxy) -> None:
    assert impatient.call("long").data == LONG


def test_callers_and_addresses_have_a_rate(tmp_path: Path) -> None:
    rates = ((r"rate=20r/s", "rate=1r/m"), (r"rate=100r/s", "rate=1r/m"), ("burst=200", "burst=2"))
    with a_proxy(tmp_path, *rates, ("burst=1000", "burst=5")) as limited:
        # A caller is a token, and one that is made in another second differs.
        tokens = [token for token in (a_token(actor="alice"), a_token(actor="bob")) for _ in range(4)]
        answers = [limited.ask("/api/trpc/notes.whoami", authorization=f"Bearer {token}") for token in tokens]
    refused = [answer for answer in answers if answer.status == 429]

    assert [answer.status for answer in answers] == [200, 200, 200, 429, 200, 200, 200, 429]
    assert {(refusal(answer), answer.headers["retry-after"]) for answer in refused} == {("TOO_MANY_REQUESTS", "5")}
    assert {answer.headers["access-control-allow-origin"] for answer in refused} == {"*"}


def test_while_the_api_is_away_the_answer_says_so(tmp_path: Path) -> None:
    port = free_port()
    with nginx(f"http://127.0.0.1:{free_port()}", port, tmp_path):
        assert refusal(send(port, "/api/trpc/notes.whoami", "GET", None, {})) == "BAD_GATEWAY"


def test_the_proxy_stands_before_the_api_that_is_deployed() -> None:
    services = yaml.safe_load((PROJECT_ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert services["proxy"]["volumes"] == ["./nginx.conf:/etc/nginx/nginx.conf:ro"]
    assert services["proxy"]["ports"][0].endswith(":8080")
    assert set(re.findall(r"proxy_pass http://([^;]+);", CONFIGURATION)) == {"api:8000"}
