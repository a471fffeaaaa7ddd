"""The use cases, one module each. Dagster, the API and the commands call them.

What does not belong here: HTTP, SQL, Dagster.
"""
