"""The procedures, a module for each router: `mailchimp.connection`, `.segments`, `.campaigns`, `.preferences`...

A procedure validates its input by type, makes one or two calls, and returns. `registry` lists all procedures, and each
gets a `context`. What does not belong here: the protocol (`api.trpc`), authentication (`api.auth`), the rules of the
business (`mailchimp_pipeline`), error codes (`api.error_mapping`).
"""
