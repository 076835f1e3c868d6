"""Object stores: addresses, retries, reading by ranges, and publishing so that nothing half-written is seen."""
