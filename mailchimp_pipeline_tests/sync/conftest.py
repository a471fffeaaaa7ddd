"""A scenario for each test of a sync."""

from mailchimp_pipeline_tests.sync.scenario import scenario, scenario_sandbox

__all__ = ["scenario", "scenario_sandbox"]
