"""What calls about coming and going say of consent."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.sync import MemberStatus
from mailchimp_pipeline_tests.database.builders import (
    AT,
    MINUTE,
)
from mailchimp_pipeline_tests.webhooks.scene import (
    NUMBERS,
    OTHER_LIST,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Scene,
    a_scene,
    stands,
)


@pytest.fixture
def scene(database: Database) -> Scene:
    return a_scene(database)


@pytest.mark.parametrize("is_in_order", [True, False])
def test_who_subscribes_where_they_left_consents_again(scene: Scene, *, is_in_order: bool) -> None:
    left, back = stands(UNSUBSCRIBED, AT + MINUTE), stands(SUBSCRIBED, AT + 2 * MINUTE)
    scene.tell(*([left, back] if is_in_order else [back, left]))
    said = scene.preference()
    assert said is not None
    assert (said.opted_in, said.consent_given_at, said.consent_source) == (True, AT + 2 * MINUTE, "mailchimp")
    assert scene.audited().count(("mailchimp", "preference.opted_in")) == 1


def test_who_opted_out_to_us_did_not_opt_in_by_subscribing_at_mailchimp(scene: Scene) -> None:
    scene.tell(stands(UNSUBSCRIBED, AT + MINUTE))
    scene.opt_out(AT + 2 * MINUTE)
    scene.tell(stands(SUBSCRIBED, AT + 3 * MINUTE))
    said = scene.preference()
    assert said is not None
    assert (said.opted_in, said.consent_source) == (False, "letter")


def test_a_subscription_before_an_unsubscription_that_was_told_first_is_no_consent(scene: Scene) -> None:
    scene.tell(stands(UNSUBSCRIBED, AT + 2 * MINUTE), stands(SUBSCRIBED, AT + MINUTE))
    said = scene.preference()
    assert said is not None
    assert not said.opted_in


def test_who_came_to_another_audience_did_not_come_back_to_the_one_they_left(scene: Scene) -> None:
    scene.tell(stands(UNSUBSCRIBED, AT + MINUTE))
    scene.tell(stands(SUBSCRIBED, AT + 2 * MINUTE), list_id=OTHER_LIST)
    said = scene.preference()
    assert said is not None
    assert not said.opted_in


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    comings_and_goings=st.lists(st.sampled_from([SUBSCRIBED, UNSUBSCRIBED]), max_size=5),
    random=st.randoms(use_true_random=False),
)
def test_in_whatever_order_they_are_told_the_last_to_come_or_go_decides(
    database: Database, comings_and_goings: list[MemberStatus], random: Random
) -> None:
    scene = a_scene(database, f"organisation-{next(NUMBERS)}")
    calls = [stands(status, AT + place * MINUTE) for place, status in enumerate(comings_and_goings, 1)]
    told = [*calls, *calls[::2]]
    random.shuffle(told)
    scene.tell(*told)
    said = scene.preference()
    assert (said is None or said.opted_in) == (comings_and_goings[-1:] != [UNSUBSCRIBED])
