"""The control operations over HTTP, and a sandbox in its own process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from mailchimp_pipeline.errors import PipelineError, TransientError
from mailchimp_pipeline_tests.sandbox.calls import ANN, BOB, KEY, Api, AudienceApi, a_member
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from sandbox import (
    AccountSetup,
    AudienceSetup,
    Behaviours,
    CampaignStatus,
    Fault,
    FaultKind,
    Figures,
    Sandbox,
    SandboxControl,
    Seed,
    Setup,
    Status,
)


@pytest.fixture
def control(sandbox: Sandbox) -> Iterator[SandboxControl]:
    """Return the HTTP client of the control operations."""
    with SandboxControl(sandbox.url) as control:
        yield control


def test_everything_can_be_set_up_over_http(sandbox: Sandbox, control: SandboxControl) -> None:
    list_id = control.add_audience(control.add_account(KEY, "Acme"), "Staff", double_optin=True)
    control.add_merge_field(list_id, "DEPT", required=True)
    control.add_members(list_id, [Seed(email_address=ANN, merge_fields={"DEPT": "Finance"})])
    control.unsubscribe_by_link(list_id, ANN)
    (member,) = control.members(list_id)
    assert (member.status, member.merge_fields["DEPT"]) == (Status.UNSUBSCRIBED, "Finance")
    assert (control.statuses(list_id), control.member(list_id, BOB)) == ({Status.UNSUBSCRIBED: 1}, None)
    assert sandbox.members(list_id) == [member]


def test_people_can_act_over_http(control: SandboxControl) -> None:
    list_id = control.add_audience(control.add_account(KEY))
    seeds = [Seed(email_address=a, status=s) for a, s in ((ANN, Status.PENDING), (BOB, Status.SUBSCRIBED))]
    control.add_members(list_id, seeds)
    control.confirm(list_id, ANN)
    control.bounce(list_id, ANN)
    control.archive_as_admin(list_id, BOB)
    assert [member.status for member in control.members(list_id)] == [Status.CLEANED, Status.ARCHIVED]


def test_a_day_can_pass_for_members(control: SandboxControl) -> None:
    list_id = control.add_audience(control.add_account(KEY))
    control.add_members(list_id, [Seed(email_address=ANN)])
    (before,) = control.members(list_id)
    control.call("let_time_pass", list_id=list_id, seconds=86400)
    (after,) = control.members(list_id)
    assert before.last_changed - after.last_changed == timedelta(days=1)


def test_campaigns_can_be_moved_over_http(control: SandboxControl, sandbox: Sandbox) -> None:
    list_id = control.add_audience(control.add_account(KEY))
    campaign_id = control.add_campaign(list_id, "Spring")
    control.move_campaign(campaign_id, CampaignStatus.SENT)
    control.set_figures(campaign_id, Figures(emails_sent=10, unique_opens=5))
    with Api(sandbox.api_root) as api:
        assert api.get(f"/reports/{campaign_id}").json()["opens"]["open_rate"] == 0.5


def test_behaviours_and_faults_can_be_set_over_http(control: SandboxControl, sandbox: Sandbox) -> None:
    control.add_account(KEY)
    assert control.configure(latency_ms=1, fake_domains=["test"]).fake_domains == {"test"}
    assert control.configure(connection_limit=3).latency_ms == 1
    control.add_fault(Fault(kind=FaultKind.BROKEN, times=1))
    with Api(sandbox.api_root) as api:
        assert api.get("/ping").status_code == 500
        control.start_outage(FaultKind.UNAVAILABLE)
        assert api.get("/ping").status_code == 503
        control.end_outage()
        control.revoke_key(KEY)
        assert api.get("/ping").status_code == 401
    assert control.counts() == sandbox.counts()


def test_what_only_looks_can_be_asked_with_get(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member())
    assert (
        requests.get(f"{sandbox.url}/sandbox/counts", timeout=TIMEOUT_SECONDS).json()["total"]["contacts_received"] == 1
    )
    found = requests.get(
        f"{sandbox.url}/sandbox/members", params={"list_id": api.list_id}, timeout=TIMEOUT_SECONDS
    ).json()
    assert [member["email_address"] for member in found] == [ANN]
    assert requests.get(f"{sandbox.url}/sandbox/reset", timeout=TIMEOUT_SECONDS).status_code == 404


def test_a_wrong_operation_is_refused_without_repeating_what_was_given(control: SandboxControl) -> None:
    list_id = control.add_audience(control.add_account(KEY))
    control.add_members(list_id, [Seed(email_address=ANN)])
    with pytest.raises(PipelineError) as caught:
        control.add_members(list_id, [Seed(email_address=ANN)])
    assert ANN not in str(caught.value)
    for operation, arguments in (("nonsense", {}), ("add_members", {"list_id": list_id, "members": [{"x": ANN}]})):
        with pytest.raises(PipelineError) as caught:
            control.call(operation, **arguments)
        assert ANN not in str(caught.value)


def test_a_body_of_a_wrong_form_is_refused(sandbox: Sandbox) -> None:
    for body in ("{", "[]"):
        assert requests.post(f"{sandbox.url}/sandbox/reset", data=body, timeout=TIMEOUT_SECONDS).status_code == 422


def test_a_missing_sandbox_is_a_transient_error() -> None:
    with SandboxControl("http://127.0.0.1:9") as control, pytest.raises(TransientError, match="No sandbox answers"):
        control.counts()


def test_a_reset_forgets_everything(control: SandboxControl, api: AudienceApi) -> None:
    control.configure(latency_ms=5)
    api.batch(a_member())
    control.reset()
    assert api.get("/ping").status_code == 401
    assert Behaviours.model_validate(control.call("behaviours")) == Behaviours()


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("add_account", {"key": KEY}),
        ("add_account", {"key": "other-us6", "account_id": "taken"}),
        ("add_audience", {"account_id": "none"}),
        ("add_audience", {"account_id": "taken", "list_id": "taken"}),
        ("members", {"list_id": "none"}),
        ("require_merge_field", {"list_id": "taken", "tag": "NONE"}),
        ("remove_audience", {"list_id": "none"}),
        ("add_campaign", {"list_id": "none"}),
    ],
)
def test_unknown_and_duplicate_resources_are_errors(
    sandbox: Sandbox, operation: str, arguments: dict[str, str]
) -> None:
    sandbox.add_audience(sandbox.add_account(KEY, account_id="taken"), list_id="taken")
    with pytest.raises(PipelineError, match=r"Use another|Add it with"):
        getattr(sandbox, operation)(**arguments)


def test_a_port_in_use_is_an_error(sandbox: Sandbox) -> None:
    with pytest.raises(PipelineError, match="cannot listen"), Sandbox.running(port=sandbox.port):
        pass


def test_a_setup_brings_a_sandbox_to_where_it_begins(sandbox: Sandbox) -> None:
    audience = AudienceSetup(list_id="a1", double_optin=True, members=(Seed(email_address=ANN),))
    faults = (Fault(kind=FaultKind.BROKEN, times=1),)
    Setup(
        accounts=(AccountSetup(key=KEY, audiences=(audience,)),),
        behaviours=Behaviours(connection_limit=2),
        faults=faults,
    ).apply(sandbox)
    assert (sandbox.statuses("a1"), sandbox.behaviours().connection_limit) == ({Status.SUBSCRIBED: 1}, 2)


def test_a_sandbox_runs_as_a_process(tmp_path: Path) -> None:
    setup = tmp_path / "setup.json"
    setup.write_text(json.dumps({"accounts": [{"key": KEY, "audiences": [{"list_id": "a1"}]}]}))
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--latency-ms", "1"]
    with subprocess.Popen(
        [*command, "--setup", str(setup), "--key", "second-us6"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        name, _, root = process.stdout.readline().strip().partition("=")
        with AudienceApi(root, "a1") as api, AudienceApi(root, "a1", "second-us6") as second:
            api.batch(a_member())
            assert (name, api.status(), second.get("/lists").json()["total_items"]) == (
                "MAILCHIMP_API_ROOT",
                "subscribed",
                1,
            )
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(TIMEOUT_SECONDS) in {0, -signal.SIGTERM}
        assert ANN not in process.stderr.read()
