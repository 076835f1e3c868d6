"""The paired cascade: small proxies trained twice with one seed, on the candidate and on the reference.

Modules here import jax; `vr.cascade.config`, `vr.cascade.result` and `vr.cascade.scaling` do not.
"""
