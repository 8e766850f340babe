"""Catalogue, shards, statistics, storage: how samples are kept."""
