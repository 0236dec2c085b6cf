"""Sources: what platforms publish as it happens, into their raw topics."""
