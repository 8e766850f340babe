"""The same as the `tenfold` command, for `python -m pipelines.cli`."""

from pipelines.cli import main

main()
