"""How objects and long calls look: a line, a table, a picture's style, a bar."""
