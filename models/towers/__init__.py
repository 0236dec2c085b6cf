"""One file a tower. Each turns a list of arrays into one vector an item and its token states."""
