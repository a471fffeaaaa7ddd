"""Mailchimp as the sandbox models it, in memory and in plain Python: accounts, audiences, members, campaigns.

What does not belong here: HTTP (`web`), threads, waiting, reading the clock (times are handed in).
"""
