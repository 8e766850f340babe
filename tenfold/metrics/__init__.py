"""Metrics as pure functions of counts."""
