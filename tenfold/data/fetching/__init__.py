"""A competition's files, from where they are into the layout that ingest reads."""
