"""Tests of the sources: one contract for all of them, and what is particular to each."""
