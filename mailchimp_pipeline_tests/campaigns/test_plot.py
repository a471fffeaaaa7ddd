"""The picture of open and click rates: well formed, within its frame, and right about where points are."""

from xml.etree import ElementTree as ET

import pytest

from mailchimp_pipeline.campaigns import Stats, rates_plot
from mailchimp_pipeline_tests.campaigns.builders import HOUR, a_campaign, some_stats

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*stats: Stats, title: str = "Spring", times: int = 1) -> ET.Element:
    return ET.fromstring(rates_plot([(a_campaign(title=title), stats)] * times))  # noqa: S314 - our own text


def lines(picture: ET.Element) -> list[list[tuple[float, float]]]:
    found = [line.get("points", "").split() for line in picture.iter(f"{SVG}polyline")]
    return [[(float(x), float(y)) for x, y in (point.split(",") for point in line)] for line in found]


def test_each_campaign_has_a_line_of_opens_and_one_of_clicks() -> None:
    opens, clicks = lines(drawn(some_stats(0.2, 0.1), some_stats(0.5, 0.2, after=HOUR)))
    assert [x for x, _ in opens] == [x for x, _ in clicks] == [40.0, 236.0]
    assert opens[0][1] > opens[1][1] < clicks[1][1]


@pytest.mark.parametrize("rate", [0.0, 0.04, 0.3, 0.95, 1.0])
def test_every_point_is_within_its_panel(rate: float) -> None:
    points = [point for line in lines(drawn(some_stats(rate, rate / 3))) for point in line]
    assert [40 <= x <= 236 and 34 <= y <= 126 for x, y in points] == [True] * 2


def test_a_title_is_shown_as_it_is_but_for_what_xml_forbids() -> None:
    texts = [text.text for text in drawn(some_stats(), title="<b>&\x00\x07 now").iter(f"{SVG}text")]
    assert "<b>&   now" in texts


def test_panels_stand_in_rows_of_three() -> None:
    picture = drawn(some_stats(), times=4)
    assert (picture.get("width"), picture.get("height")) == ("750", "326")
    assert [group.get("transform") for group in picture.iter(f"{SVG}g")][-1] == "translate(0 176)"
