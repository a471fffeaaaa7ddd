"""PostgreSQL: tables, transactions of one organisation, and one store for each kind of record.

The stores read, write and lock rows; the rules are in `segments`, `sync`, `consent` and `contacts`. Every change of
state writes its audit entry in the same transaction.
"""
