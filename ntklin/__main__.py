"""``python -m ntklin``: the command line."""

from ntklin.apps.cli import main

if __name__ == "__main__":
    main()
