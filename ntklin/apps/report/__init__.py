"""The reports of commands: tables for the terminal, and a folder with PNG, HTML and JSON."""
