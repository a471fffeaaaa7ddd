"""PostgreSQL: the tables, transactions scoped to one organisation, and one store a noun.

Adapter. What is decided about rows stands in the core (`segments`, `sync`, `contacts`); here it is kept,
found again and locked. Every change of state writes its audit entry in the same transaction.
"""
