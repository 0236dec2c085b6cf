"""Every tower and fusion on the same posts: scores, sizes, costs, and a page that shows them."""

from models.compare.run import compare

__all__ = ["compare"]
