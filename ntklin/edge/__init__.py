"""Where arguments, arrays and files come in and go out: checks, errors, namespaces, memory."""
