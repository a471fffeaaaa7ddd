"""The plot of open and click rates: valid SVG, points at the right places, readable."""

from dataclasses import replace
from datetime import timedelta, timezone
from xml.etree import ElementTree as ET

import pytest

from mailchimp_pipeline.campaigns import Stats, counts_plot, rates_plot, rates_text
from mailchimp_pipeline_tests.campaigns.builders import AT, HOUR, some_stats

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*stats: Stats, title: str = "Spring", times: int = 1) -> ET.Element:
    return ET.fromstring(rates_plot([(title, stats)] * times))  # noqa: S314 - our own text


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


@pytest.mark.parametrize("counts", [(0, 0), (1, 12_000), (5, 3, 4)])
def test_a_count_is_drawn_from_zero_to_its_maximum(counts: tuple[int, ...]) -> None:
    picture = ET.fromstring(counts_plot([(AT + n * HOUR, count) for n, count in enumerate(counts)]))  # noqa: S314 - ours
    (line,) = lines(picture)
    assert (line[0][0], line[-1][0]) == (40.0, 236.0)
    assert all(34 <= y <= 126 for _, y in line)
    assert [text.text for text in picture.iter(f"{SVG}text")][:2] == [f"{max(1, *counts):,}", "0"]


def contrast_on_white(colour: str) -> float:
    """Return the contrast ratio as defined by WCAG."""
    shares = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 1.05 / (sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)) + 0.05)


def test_lines_and_words_can_be_read_on_white_and_told_apart_without_colours() -> None:
    picture = drawn(some_stats(), some_stats(after=HOUR))
    colours = {text.get("fill") or "#30303a" for text in picture.iter(f"{SVG}text")}
    opens, clicks = picture.iter(f"{SVG}polyline")
    colours |= {opens.get("stroke", ""), clicks.get("stroke", "")}
    assert min(map(contrast_on_white, colours)) >= 4.5
    assert (opens.get("stroke-dasharray"), clicks.get("stroke-dasharray")) == (None, "4 3")


def test_times_are_utc_and_say_so() -> None:
    there = timezone(timedelta(hours=9))
    texts = [text.text for text in drawn(replace(some_stats(), refreshed_at=AT.astimezone(there))).iter(f"{SVG}text")]
    assert "01 Mar 06:00" in texts
    assert "times in UTC" in texts


def test_the_latest_rates_are_told_in_words() -> None:
    history = ("Spring\x00", [some_stats(0.2), some_stats(0.4, 0.125)])
    assert rates_text([history, history]) == "; ".join(["Spring  40.0% opened, 12.5% clicked"] * 2)


def test_panels_stand_in_rows_of_three() -> None:
    picture = drawn(some_stats(), times=4)
    assert (picture.get("width"), picture.get("height")) == ("750", "326")
    assert [group.get("transform") for group in picture.iter(f"{SVG}g")][-1] == "translate(0 176)"
