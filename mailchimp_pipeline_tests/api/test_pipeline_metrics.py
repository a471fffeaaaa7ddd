"""The pipeline's metrics in `/metrics`, also while the database is unavailable."""

import threading
from typing import cast

from mailchimp_pipeline.database.gauges import PipelineFigures
from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline_tests.api.sample_metrics import AT, some_figures
from mailchimp_pipeline_tests.api.served import Api, an_api
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS


def samples_of(api: Api) -> dict[str, float]:
    lines = api.ask("/metrics").body.decode().splitlines()
    ours = (line.rpartition(" ") for line in lines if line.startswith("mailchimp_pipeline_"))
    return {name.removeprefix("mailchimp_pipeline_"): float(value) for name, _, value in ours}


def test_every_metric_is_exported() -> None:
    with an_api(read_figures=some_figures) as api:
        samples = samples_of(api)

    expected = {
        "database_up": 1,
        'segments{status="error"}': 1,
        'segments{status="pending"}': 0,
        'connections{state="key_refused"}': 1,
        "newest_sync_timestamp_seconds": AT.timestamp(),
        'last_sync_contacts{outcome="new"}': 7,
        'last_sync_rejected{reason="looks_fake"}': 2,
        'last_sync_rejected{reason="compliance_state"}': 0,
        "last_sync_pushes": 4,
        "last_sync_retries": 5,
        "sync_requests_waiting_oldest_seconds": 30.5,
        "erasures_pending": 1,
        "erasures_pending_oldest_seconds": 90000,
    }
    assert {name: samples[name] for name in expected} == expected


def test_a_pipeline_without_syncs_exports_no_sync_time() -> None:
    with an_api(read_figures=lambda: some_figures(newest_sync_at=None, oldest_sync_at=None)) as api:
        assert not [name for name in samples_of(api) if "timestamp" in name]


def test_without_a_database_the_metrics_say_so_and_contain_no_old_values() -> None:
    seconds, is_up = [0.0], [True]

    def read() -> PipelineFigures:
        if is_up[0]:
            return some_figures()
        raise TransientError("PostgreSQL (db.internal:5432) cannot be reached: start it")

    with an_api(read_figures=read, clock=lambda: seconds[0]) as api:
        before, is_up[0], seconds[0] = samples_of(api), False, 60.0
        after = samples_of(api)
        why = api.line("no figures")["why"]

    assert (before["database_up"], after["database_up"], "db.internal" in why) == (1, 0, True)
    assert not [name for name in after if name.startswith(("segments", "last_sync", "erasures"))]
    assert "api_requests_in_flight" in after


def test_a_defect_in_the_figures_leaves_the_apis_own() -> None:
    with an_api(read_figures=lambda: cast("PipelineFigures", 1 / 0)) as api:
        assert samples_of(api)["database_up"] == 0
    assert api.line("no figures")["raised"][0]["type"] == "ZeroDivisionError"


def test_figures_are_read_once_in_five_seconds_however_often_they_are_asked_for() -> None:
    reads: list[int] = []
    seconds = [0.0]

    def read() -> PipelineFigures:
        reads.append(1)
        return some_figures()

    with an_api(read_figures=read, clock=lambda: seconds[0]) as api:
        for second in (0.0, 1.0, 4.9, 5.1):
            seconds[0] = second
            samples_of(api)
    assert len(reads) == 2


def test_figures_that_hang_do_not_keep_the_page() -> None:
    gone_on = threading.Event()

    def read() -> PipelineFigures:
        gone_on.wait(TIMEOUT_SECONDS)
        return some_figures()

    with an_api(read_figures=read, figures_seconds=0.05) as api:
        assert samples_of(api)["database_up"] == 0
        gone_on.set()
    assert "longer than 0.05 s" in api.line("no figures")["why"]
