"""Few sizes of what is computed, instead of any.

oneDNN compiles the kernels of a matrix product or a convolution for each size that it meets and
keeps those of the last thousand: some 3 MiB a size for the text tower in bfloat16. With sizes
rounded up there are few, and a process that has met all of them does not grow.
"""

_PARTS = 4  # of an octave: at most a fourth is computed in vain


def filler(size: int, least: int = 32) -> int:
    """What to add to a size to make it one of few.

    Those are multiples of `least`, and of a quarter of the power of two below. With a least of 32:
    32, 64, 96, 128, 160, …, 256, 320, …, 512, 640, …
    """
    step = max(least, (1 << (size - 1).bit_length()) // 2 // _PARTS)
    return -size % step
