"""One module a file format, all behind the `Reader` protocol; nothing here is imported before a file needs it."""
