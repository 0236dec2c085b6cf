"""One short module a process, and the command line."""
