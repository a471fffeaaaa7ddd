"""Employees and vendors of many organisations, kept in step with their Mailchimp audiences."""
