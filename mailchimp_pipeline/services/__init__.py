"""The use cases: one module each, called by Dagster, the API and the commands alike.

What does not belong here: HTTP, SQL, Dagster.
"""
