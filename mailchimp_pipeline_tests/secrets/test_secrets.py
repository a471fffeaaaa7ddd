"""No job or procedure writes keys anywhere, or personal data outside the tables meant for it."""

import pytest

from api.procedures.registry import PROCEDURES
from mailchimp_pipeline.database.encryption import key_id_of
from mailchimp_pipeline.definitions import defs
from mailchimp_pipeline_tests.consent.whole import tables
from mailchimp_pipeline_tests.secrets import marked
from mailchimp_pipeline_tests.secrets.activity import Activity, run_everything


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Activity:
    return run_everything(tmp_path_factory.mktemp("hr"))


def test_every_procedure_and_job_ran_and_some_failed(done: Activity) -> None:
    assert {path for path, _, _ in done.answers} >= {procedure.path for procedure in PROCEDURES}
    assert {path for path, status, _ in done.answers if status == 200} >= {procedure.path for procedure in PROCEDURES}
    assert {status for _, status, _ in done.answers} >= {200, 400, 422, 502}
    assert {str(job.name) for job in defs.jobs or ()} <= {name for name, success in done.jobs.items() if success}
    assert False in done.jobs.values()


@pytest.mark.parametrize("key", marked.KEYS)
def test_no_key_is_stored_or_printed(done: Activity, key: str) -> None:
    assert tables(done.places, key) == set()
    assert key not in done.printed
    assert [path for path, _, body in done.answers if key in body] == []


def test_a_stored_api_key_is_encrypted_with_our_key(done: Activity) -> None:
    assert {key_id_of(stored) for stored in done.stored_keys} == {"test"}
    assert not any(marked.API_KEY[:8] in stored for stored in done.stored_keys)


@pytest.mark.parametrize("trait", marked.PERSONAL_DATA)
def test_addresses_and_names_are_only_in_their_tables(done: Activity, trait: str) -> None:
    assert tables(done.places, trait) <= marked.PERSONAL_DATA_TABLES
    assert trait.lower() not in done.printed.lower()
    assert {path for path, _, body in done.answers if trait in body} <= marked.PROCEDURES_WITH_PERSONAL_DATA


@pytest.mark.parametrize("subscriber_hash", marked.HASHES)
def test_hashes_are_only_in_their_tables(done: Activity, subscriber_hash: str) -> None:
    assert tables(done.places, subscriber_hash) <= marked.HASH_TABLES
    assert subscriber_hash not in done.printed


def test_the_search_finds_pushed_contacts(done: Activity) -> None:
    """Proves that the search finds what is stored."""
    assert {"segment_members", "audience_members"} <= tables(done.places, marked.KNOWN["email"])
    assert {
        path for path, _, body in done.answers if marked.KNOWN["email"] in body
    } == marked.PROCEDURES_WITH_PERSONAL_DATA
