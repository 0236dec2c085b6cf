"""The textbook's family: each tower alone, three ways to fuse them, and their training."""
