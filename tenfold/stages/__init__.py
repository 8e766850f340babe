"""The stages: paths in, paths out; the only place that orders the pieces.

One module a stage, each with a `run` that looks in the store first. What a
stage hands on is a reference to a store entry.
"""
