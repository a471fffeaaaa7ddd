"""The HTTP interface: Mailchimp's Marketing API v3 under /3.0, the control operations under /sandbox.

What does not belong here: Mailchimp's rules (`model`).
"""
