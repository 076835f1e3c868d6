"""Writing a dataset again in its own format, with rows taken out, cells changed and rows added."""
