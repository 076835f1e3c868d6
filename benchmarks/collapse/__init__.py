"""How often is the verdict right? Labelled cases, measured harm, features, peers, and the protocol that judges them.

`python -m benchmarks.collapse.study` makes everything from nothing (hours, resumable); `python -m
benchmarks.collapse.figures` rebuilds every table and figure from the committed results in minutes. See README.md here.
"""
