"""The paired cascade: small proxies trained twice with one seed, on the candidate and on the reference.

Modules here import jax; `vr.cascade.config`, `vr.cascade.result`, `vr.cascade.scaling`, `vr.cascade.checkpoint_folder`,
`vr.cascade.hosts`, `vr.cascade.agreement` and `vr.cascade.supervisor` do not. Only `vr.cascade.checkpoint` imports
orbax, which takes most of a second.
"""
