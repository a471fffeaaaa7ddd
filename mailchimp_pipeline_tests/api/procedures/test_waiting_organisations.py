"""Case C1: the API answers an organisation while Mailchimp is slow for four others."""

from concurrent.futures import ThreadPoolExecutor

from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.waiting import eventually
from sandbox import Fault, FaultKind

ORGANISATIONS = 4
CALLS = 8


def held_calls(stage: Stage) -> int:
    return stage.sandbox.faults_struck().get(FaultKind.HELD, 0)


def audiences(tenant: Tenant) -> int:
    return tenant.query("connection.listAudiences").status


def test_a_fifth_organisation_is_answered_while_mailchimp_holds_the_calls_of_four(stage: Stage) -> None:
    slow = [a_tenant(stage, connected=True) for _ in range(ORGANISATIONS)]
    fifth = a_tenant(stage, connected=True)
    before = held_calls(stage)
    stage.sandbox.add_fault(Fault(kind=FaultKind.HELD, route="/lists"))
    with ThreadPoolExecutor(ORGANISATIONS * CALLS) as clients:
        try:
            held = [clients.submit(audiences, tenant) for tenant in slow for _ in range(CALLS)]
            # Of an organisation's eight calls, four are at Mailchimp and four wait without a thread.
            eventually(lambda: held_calls(stage) - before == ORGANISATIONS * 4)
            answered = [fifth.query("segments.list"), fifth.query("segments.preview", {"segmentType": "mixed"})]
            answered.append(fifth.mutate("campaigns.trackCampaign", {"mailchimpCampaignId": "none"}))
            finished_before = [call for call in held if call.done()]
        finally:
            stage.sandbox.clear_faults()
        statuses = {call.result() for call in held}

    assert [answer.status for answer in answered] == [200, 200, 404]
    assert finished_before == []
    assert statuses == {200}
