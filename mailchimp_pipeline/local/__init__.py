"""Commands for a developer's machine: the demo, `make dev`, sample data, and the processes that they start.

What does not belong here: anything that production needs. Only this package uses the sandbox.
"""
