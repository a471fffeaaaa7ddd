"""HTTP sessions for servers on this machine."""

import requests


def direct_session() -> requests.Session:
    """Return a session that ignores proxies set in the environment: a proxy cannot reach loopback."""
    session = requests.Session()
    session.trust_env = False
    return session
