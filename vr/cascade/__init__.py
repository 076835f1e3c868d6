"""The paired cascade: small proxies trained twice with one seed, on the candidate and on the reference.

Modules here import jax; `vr.cascade.config`, `vr.cascade.result`, `vr.cascade.scaling` and
`vr.cascade.checkpoint_folder` do not. Only `vr.cascade.checkpoint` imports orbax, which takes most of a second.
"""
