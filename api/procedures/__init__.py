"""What the API does, a module for each router: `mailchimp.connection`, `.segments`, `.campaigns`, `.preferences`...

A procedure is: an input that is right by its type, one or two calls, a return. `registry` lists them all, `context`
is what each is given. What does not belong here: the wire (`api.trpc`), who calls (`api.auth`), rules of the
business (`mailchimp_pipeline`), how failures are told (`api.error_mapping`).
"""
