"""Self-contained, script-free HTML reports of every stage, and the site of a run."""
