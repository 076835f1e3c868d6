"""Generators and damages with known ground truth: what `vr` is tested and calibrated on. Imports nothing of `vr`."""
