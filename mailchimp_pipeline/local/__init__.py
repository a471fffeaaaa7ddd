"""A developer's machine: the demo, `make dev`, sample data, and everything that they start.

What does not belong here: anything that production needs. The sandbox is used by this room alone.
"""
