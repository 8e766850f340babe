"""Averages over members, streaming."""
