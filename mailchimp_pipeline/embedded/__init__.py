"""What one machine provides for itself where it is not set: PostgreSQL out of a wheel, keys, and child processes.

What does not belong here: sample data and the sandbox (`local`), the tables (`database`).
"""
