"""Products whose rows come out the same to the last bit whatever rows stand beside them.

A library for linear algebra chooses its kernels by the shapes that it is given, and each kernel sums in an order of its
own: the same row read in another batch would differ in its last digits, and with them ranks, ties and reports. Here
rows go in whole blocks of one size, the last one filled up.
"""

import numpy as np

__all__ = ["in_whole_blocks", "rowwise_product"]

# Rows of a block: a multiple of what any kernel takes at once, and above the sizes that have kernels of their own.
_BLOCK_ROWS = 256


def in_whole_blocks(x: np.ndarray) -> np.ndarray:
    """Returns rows `[n, p]` with rows of zeros after them up to a whole number of blocks, contiguous."""
    missing = -len(x) % _BLOCK_ROWS
    return np.ascontiguousarray(np.concatenate([x, np.zeros((missing, x.shape[1]), x.dtype)]) if missing else x)


def rowwise_product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns `x @ y`, float `[n, q]`, of `x` `[n, p]` and `y` `[p, q]`."""
    filled = in_whole_blocks(x)
    blocks = filled.reshape(len(filled) // _BLOCK_ROWS, _BLOCK_ROWS, x.shape[1])
    return np.matmul(blocks, np.ascontiguousarray(y)).reshape(len(filled), y.shape[1])[: len(x)]
