"""Pure statistics on samples: NumPy and SciPy in, plain numbers and arrays out.

A sample is `codes` (`uint16 [n, d]`, one small integer per cell, code 0 is null) and `values` (`float64 [n, d]`,
NaN where null or not numeric). Functions take arrays, keep no state, and draw randomness only from a generator that
the caller passes. A quantity that the data cannot give is NaN, never a plausible number.
"""
