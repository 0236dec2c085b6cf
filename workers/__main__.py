"""`python -m workers` is `weathervane`."""

from workers.cli import main

if __name__ == "__main__":
    main()
