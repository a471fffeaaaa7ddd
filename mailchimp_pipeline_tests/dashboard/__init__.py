"""The dashboard in a real browser, over the API, PostgreSQL, the sandbox and real syncs."""
