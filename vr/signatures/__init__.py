"""A library of datasets with measured outcomes, and what the nearest of them say of a new one before any training."""
