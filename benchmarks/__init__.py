"""What Tenfold's speed and memory are, as ratios against the plain way in one run.

Each module holds one subject: `rows` measures and checks that both ways agree, and
`python -m benchmarks.NAME` prints its table; `python -m benchmarks` runs them all.
"""
