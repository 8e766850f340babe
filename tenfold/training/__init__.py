"""Engines: how a network is trained, checkpointed and resumed."""
