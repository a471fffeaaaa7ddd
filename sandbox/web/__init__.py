"""The sandbox over HTTP: Mailchimp's Marketing API v3 below /3.0, the control surface below /sandbox.

What does not belong here: what happens to members (`model`).
"""
