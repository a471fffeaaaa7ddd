"""The meaning of Mailchimp's error texts about contacts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.mailchimp.error_classification import (
    EXISTS,
    rejection_of_item,
    rejection_of_problem,
    rejection_of_status,
)
from mailchimp_pipeline.mailchimp.wire_models import BatchError
from mailchimp_pipeline.sync import MemberStatus, Rejection
from mailchimp_pipeline_tests.mailchimp.builders import an_item

WORDS = {
    "X is in a compliance state due to unsubscribe, bounce, or compliance review and cannot be subscribed.": (
        Rejection.COMPLIANCE
    ),
    "X is already a list member in compliance state due to unsubscribe, bounce, or compliance review.": (
        Rejection.COMPLIANCE
    ),
    "X was permanently deleted and cannot be re-imported. "
    "The contact must re-subscribe to get back on the list.": Rejection.FORGOTTEN,
    "X was previously removed from this audience. To rejoin, they'll need to sign up using a Mailchimp form.": (
        Rejection.FORGOTTEN
    ),
    "X looks fake or invalid, please enter a real email address.": Rejection.FAKE,
    "X has signed up to a lot of lists very recently; we're not allowing more signups for now": (
        Rejection.TOO_MANY_SIGNUPS
    ),
    "Please provide a valid email address.": Rejection.INVALID_ADDRESS,
    "Your merge fields were invalid.": Rejection.MERGE_FIELD,
    'This member\'s status is "cleaned."': Rejection.CLEANED,
    'X is already in this list with a status of "Unsubscribed".': Rejection.UNSUBSCRIBED,
    "X is already a list member. Use PUT to insert or update list members.": EXISTS,
    "X is a role-based address and cannot be imported.": Rejection.OTHER,
    "Something new.": Rejection.OTHER,
    "": Rejection.OTHER,
}


@pytest.mark.parametrize(("words", "meaning"), WORDS.items())
def test_the_words_for_one_contact_of_a_batch_are_understood(words: str, meaning: str) -> None:
    assert rejection_of_item(BatchError.model_validate(an_item(words))) == meaning


@pytest.mark.parametrize(("words", "meaning"), WORDS.items())
def test_an_address_in_the_text_does_not_change_its_meaning(words: str, meaning: str) -> None:
    for email in ("compliance@looks-fake.test", "already.a.list.member@x.test", '"permanently deleted"@x.test'):
        assert rejection_of_item(BatchError.model_validate(an_item(words, email))) == meaning


def test_the_code_says_that_a_contact_exists_whatever_the_words() -> None:
    item = an_item("X is known.", code="ERROR_CONTACT_EXISTS")
    assert rejection_of_item(BatchError.model_validate(item)) == EXISTS


def test_a_compliance_state_is_more_than_existing() -> None:
    item = an_item("X is already a list member in compliance state.", code="ERROR_CONTACT_EXISTS")
    assert rejection_of_item(BatchError.model_validate(item)) is Rejection.COMPLIANCE


@pytest.mark.parametrize(
    ("field", "meaning"),
    [
        ("LNAME", Rejection.MERGE_FIELD),
        ("merge_fields.MMERGE5", Rejection.MERGE_FIELD),
        ("EMAIL", Rejection.INVALID_ADDRESS),
        ("email_address", Rejection.INVALID_ADDRESS),
        ("status", Rejection.OTHER),
    ],
)
def test_the_field_decides_where_the_words_do_not(field: str, meaning: Rejection) -> None:
    item = an_item("Please enter a value", field=field)
    assert rejection_of_item(BatchError.model_validate(item)) is meaning


@pytest.mark.parametrize(
    ("title", "meaning"),
    [
        ("Member Exists", EXISTS),
        ("Member In Compliance State", Rejection.COMPLIANCE),
        ("Forgotten Email Not Subscribed", Rejection.FORGOTTEN),
        ("Invalid Resource", None),
    ],
)
def test_the_title_of_a_single_refusal_is_enough(title: str, meaning: str | None) -> None:
    assert rejection_of_problem(title, "", ()) == meaning


def test_a_schema_error_of_the_address_is_about_the_contact() -> None:
    assert rejection_of_problem("Invalid Resource", "See errors.", ("email_address",)) is Rejection.INVALID_ADDRESS


@given(
    st.fixed_dictionaries({}, optional={name: st.text() for name in ("email_address", "error", "error_code", "field")})
)
def test_every_item_means_something(item: dict[str, str]) -> None:
    meaning = rejection_of_item(BatchError.model_validate(item))
    assert meaning == EXISTS or isinstance(meaning, Rejection)


@pytest.mark.parametrize("status", [status for status in MemberStatus if status is not MemberStatus.SUBSCRIBED])
def test_every_status_but_subscribed_is_a_refusal_of_its_own(status: MemberStatus) -> None:
    assert rejection_of_status(status) is not Rejection.OTHER
