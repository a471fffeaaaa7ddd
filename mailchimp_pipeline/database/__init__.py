"""Access to PostgreSQL: tables, transactions for one organisation, and a store class for each kind of record.

Stores read, write and lock rows. The rules that they apply are in `segments`, `sync`, `consent` and `contacts`. A store
that changes state writes an audit log entry in the same transaction.
"""
