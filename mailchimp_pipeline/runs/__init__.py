"""Runs over many segments: each segment ends alone, in `synced` or `error`, whatever becomes of the others.

What does not belong here: Dagster (`defs`), what a sync does (`sync`), who is a member (`segments`).
Nothing is imported here: the code location loads `results` and `pipeline`, only a run loads `run` and pandas with it.
"""
