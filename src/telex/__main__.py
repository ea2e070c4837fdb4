"""`python -m telex`: the same as `telex`."""

from telex.cli import main

if __name__ == "__main__":
    main()
