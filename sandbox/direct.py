"""HTTP sessions for servers on this machine.

What does not belong here: calls to anything else.
"""

import requests


def direct_session() -> requests.Session:
    """Return a session that heeds no proxy of the environment: a proxy cannot reach loopback."""
    session = requests.Session()
    session.trust_env = False
    return session
