"""The worker: takes jobs from an orchestrator. Its supervisor imports no jax, whatever computes runs in a child."""
