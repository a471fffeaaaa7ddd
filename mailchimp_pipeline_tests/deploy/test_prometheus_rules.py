"""The alert rules are valid, and use existing metrics only."""

import re
from typing import Any

import pytest
import yaml

from mailchimp_pipeline.settings import PROJECT_ROOT
from mailchimp_pipeline_tests.api.sample_metrics import some_figures
from mailchimp_pipeline_tests.api.served import an_api

METRIC = re.compile(r"mailchimp_pipeline_\w+")
SELECTED = re.compile(r'(mailchimp_pipeline_\w+)\{(\w+)="(\w+)"\}')


def rules() -> list[dict[str, Any]]:
    written = yaml.safe_load((PROJECT_ROOT / "deploy" / "prometheus-rules.yaml").read_text(encoding="utf-8"))
    return [rule for group in written["groups"] for rule in group["rules"]]


def exposed() -> str:
    with an_api(read_figures=some_figures) as api:
        api.call("notes.whoami")
        return api.ask("/metrics").body.decode()


def test_every_metric_that_a_rule_asks_for_is_told() -> None:
    exported = set(METRIC.findall("\n".join(line for line in exposed().splitlines() if not line.startswith("#"))))
    asked = {name for rule in rules() for name in METRIC.findall(rule["expr"])}

    assert asked
    assert asked - exported == set()


def test_every_label_that_a_rule_selects_by_is_told() -> None:
    page = exposed()
    selected = [pair for rule in rules() for pair in SELECTED.findall(rule["expr"])]

    assert selected
    assert [pair for pair in selected if f'{pair[0]}{{{pair[1]}="{pair[2]}"}}' not in page] == []


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description"}
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}


def test_what_was_promised_has_its_alert() -> None:
    assert {rule["alert"] for rule in rules()} >= {
        "MailchimpSegmentInError",
        "MailchimpNothingSyncedBySix",
        "MailchimpErasureOlderThanADay",
        "MailchimpSyncRequestsWait",
        "MailchimpApiErrors",
    }
