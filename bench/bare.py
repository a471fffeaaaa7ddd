"""The bound: ten threads that send batches and nothing else, each over a connection that it keeps.

They read no source, keep no record and look at no answer but its status.
"""

import base64
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection
from urllib.parse import urlsplit

from bench.stage import LATENCY_MS, LATENCY_PER_CONTACT_MS, api_key
from mailchimp_pipeline.sync import BATCH_SIZE, CONNECTIONS


def bound_seconds(contacts: int) -> float:
    """Return how long ten connections take if nothing but Mailchimp's own latency takes time."""
    calls = -(-contacts // BATCH_SIZE)
    seconds_a_call = (LATENCY_MS + LATENCY_PER_CONTACT_MS * min(contacts, BATCH_SIZE)) / 1000
    return -(-calls // CONNECTIONS) * seconds_a_call


def batches(contacts: int) -> list[str]:
    """Return bodies as the pipeline sends them, of contacts nobody else has."""
    people = [
        {
            "email_address": f"person{number}@bare.test",
            "status": "subscribed",
            "merge_fields": {"FNAME": "Ana", "LNAME": f"Okafor {number}"},
        }
        for number in range(contacts)
    ]
    pieces = [people[start : start + BATCH_SIZE] for start in range(0, contacts, BATCH_SIZE)]
    return [json.dumps({"members": piece, "update_existing": False}) for piece in pieces]


def push(api_root: str, organisation_id: str, list_id: str, bodies: Sequence[str]) -> float:
    """Send the batches; return the seconds."""
    places = [bodies[first::CONNECTIONS] for first in range(CONNECTIONS)]
    begun = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(partial(_send, api_root, organisation_id, list_id), places))
    return time.monotonic() - begun


def _send(api_root: str, organisation_id: str, list_id: str, bodies: Sequence[str]) -> None:
    place = urlsplit(api_root)
    connection = HTTPConnection(place.hostname or "", place.port)
    credentials = base64.b64encode(f"bench:{api_key(organisation_id)}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
    for body in bodies:
        connection.request("POST", f"{place.path}/lists/{list_id}", body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"Mailchimp answered {answer.status}")
    connection.close()
