"""Take the screenshots of the README, of the sample organisations in the sandbox: `make screenshots`."""

import shutil
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from playwright.sync_api import Page, ViewportSize, sync_playwright

from mailchimp_pipeline.embedded.processes import isolated
from mailchimp_pipeline.local import sample_organisations
from mailchimp_pipeline.local.sample_data import write_sample
from mailchimp_pipeline.local.stack import SandboxStack, free_port, sandbox_stack
from mailchimp_pipeline.services.pipeline import open_pipeline
from mailchimp_pipeline.settings import Settings
from sandbox import CampaignStatus, Figures, SandboxControl

FOLDER = Path(__file__).parent
ORGANISATION = sample_organisations.ORGANISATIONS[0]
SIZE: ViewportSize = {"width": 1200, "height": 760}


def main() -> None:
    """Start the pipeline with sample data, sync it, and write one picture for each page."""
    with TemporaryDirectory() as directory, isolated(Path(directory)):
        ports = {name: str(free_port()) for name in ("SANDBOX_PORT", "API_PORT")}
        given = {"HOME": directory, **ports}
        settings = Settings.from_environment({f"MAILCHIMP_PIPELINE_{name}": value for name, value in given.items()})
        with sandbox_stack(settings) as stack, closing(SandboxControl(stack.sandbox_url)) as sandbox:
            write_sample(settings.home / "sample")
            stack.start_api()
            sample_organisations.set_up(stack, sandbox)
            for _ in range(2):
                sync_all(stack)
            track_a_campaign(stack, sandbox)
            take_pictures(stack)


def sync_all(stack: SandboxStack) -> None:
    """Sync the segments of all sample organisations."""
    with open_pipeline(stack.settings) as pipeline:
        for result in pipeline.sync(pipeline.due_partition_keys(), run_id=str(uuid4()), push=True):
            sys.stdout.write(f"{result.segment.name}: {result.error or 'synced'}\n")


def track_a_campaign(stack: SandboxStack, sandbox: SandboxControl) -> None:
    """Track a campaign, and refresh it while e-mails are opened."""
    campaign_id = sandbox.add_campaign(ORGANISATION.audiences[0].id, "Autumn news", "What is new in autumn")
    with stack.dashboard(ORGANISATION.id) as dashboard:
        tracked = dashboard.mutate("mailchimp.campaigns.trackCampaign", mailchimpCampaignId=campaign_id)
        sandbox.move_campaign(campaign_id, CampaignStatus.SENDING)
        for opened in (90, 310, 420, 514):
            clicked = opened // 4
            sandbox.set_figures(
                campaign_id,
                Figures(
                    emails_sent=1106,
                    opens=opened * 2,
                    unique_opens=opened,
                    clicks=clicked,
                    unique_clicks=clicked,
                    subscriber_clicks=clicked,
                ),
            )
            dashboard.mutate("mailchimp.campaigns.refreshStats", id=tracked["id"])


def take_pictures(stack: SandboxStack) -> None:
    """Write `overview.png`, `segments.png` and `segment.png` beside this file."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, locale="en-GB", timezone_id="UTC")
        page.goto(stack.sign_in_link(ORGANISATION.id))
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/")
        _picture(page, "overview")
        page.get_by_role("link", name="Segments").first.click()
        _picture(page, "segments")
        page.get_by_role("link", name=ORGANISATION.segments[0].name).click()
        page.get_by_role("heading", name="Rejected contacts").wait_for()
        _picture(page, "segment")
        browser.close()


def _picture(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
