"""What the pipeline costs, measured: a script a figure, each beside the bound or the peer of the same run.

`make bench` runs them all and writes `RESULTS.md`. What does not belong here: whether it is right (the tests).
"""
