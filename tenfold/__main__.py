"""`python -m tenfold STAGE …`: the verbs of the stages."""

from tenfold.cli import main

if __name__ == "__main__":
    main()
