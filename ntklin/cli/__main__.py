"""``python -m ntklin.cli``."""

from ntklin.cli import main

if __name__ == "__main__":
    main()
