"""Tests of the sources: a contract for all, and what is specific to each."""
