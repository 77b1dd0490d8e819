"""``python -m ntklin``."""

from ntklin.apps.cli import main

if __name__ == "__main__":
    main()
