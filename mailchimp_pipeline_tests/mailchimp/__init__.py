"""Tests of the adapter to the Marketing API."""
