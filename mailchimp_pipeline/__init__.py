"""Sync the employees and vendors of many organisations into their Mailchimp audiences."""
