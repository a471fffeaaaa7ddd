"""The code location: asset dependencies, schedules and sensors."""

import dagster as dg

from mailchimp_pipeline.definitions import defs

EDGES = {
    "employees": set[str](),
    "vendors": set[str](),
    "segment_membership": {"employees", "vendors"},
    "audience_sync": {"segment_membership"},
    "campaign_stats": set[str](),
}

SCHEDULES = {
    "mailchimp_scheduled_sync": "0 5 * * *",
    "mailchimp_freshness": "0 6 * * *",
    "mailchimp_campaign_stats_refresh": "0 */6 * * *",
    "mailchimp_retention": "30 3 * * *",
}


def test_the_assets_depend_on_each_other_as_drawn() -> None:
    graph = defs.resolve_asset_graph()
    edges = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert edges == EDGES


def test_the_schedules_run_at_the_hours_of_the_product_in_utc() -> None:
    schedules = [schedule for schedule in defs.schedules or () if isinstance(schedule, dg.ScheduleDefinition)]
    assert {schedule.name: schedule.cron_schedule for schedule in schedules} == SCHEDULES
    assert {schedule.execution_timezone for schedule in schedules} == {"UTC"}
    assert all(schedule.default_status is dg.DefaultScheduleStatus.RUNNING for schedule in schedules)


def test_every_sensor_runs_without_anyone_switching_it_on() -> None:
    sensors = list(defs.sensors or ())
    assert {sensor.name for sensor in sensors} == {
        "sync_requests",
        "dead_runs",
        "failed_runs",
        "cancelled_runs",
        "erasures_due",
        "opt_outs_due",
    }
    assert all(sensor.default_status is dg.DefaultSensorStatus.RUNNING for sensor in sensors)


def test_every_job_runs_in_one_process() -> None:
    jobs = [defs.resolve_job_def(str(job.name)) for job in defs.jobs or ()]
    assert {job.executor_def for job in jobs} == {dg.in_process_executor}
