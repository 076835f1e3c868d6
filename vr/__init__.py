"""vr tells before training whether a model will collapse on a partly or wholly synthetic dataset."""
