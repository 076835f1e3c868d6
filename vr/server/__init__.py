"""The gRPC service. Its front process imports no jax: whatever computes runs in children (`vr.server.child`)."""
