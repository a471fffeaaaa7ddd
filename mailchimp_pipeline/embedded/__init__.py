"""Defaults for a pipeline on one machine: an embedded PostgreSQL, generated keys, and child processes.

What does not belong here: sample data and the sandbox (`local`), the tables (`database`).
"""
