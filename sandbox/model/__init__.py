"""An in-memory model of Mailchimp in plain Python: accounts, audiences, members, campaigns.

What does not belong here: HTTP (`web`), threads, waiting, reading the clock (times are arguments).
"""
