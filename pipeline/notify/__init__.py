"""Messages about alerts: which channel gets which, in what words, how fast, and each once."""
