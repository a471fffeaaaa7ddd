"""Defaults for settings that are missing on one machine: an embedded PostgreSQL, keys, and child processes.

What does not belong here: sample data and the sandbox (`local`), the tables (`database`).
"""
