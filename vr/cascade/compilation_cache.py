"""The persistent compilation cache in the user's cache folder: the second run of a schema compiles nothing."""

from pathlib import Path

import jax

__all__ = ["enable"]


def enable() -> Path:
    """Points jax at the cache folder, unless the user has chosen one; returns the folder in use."""
    import platformdirs

    chosen = jax.config.jax_compilation_cache_dir
    folder = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("vr")) / "xla"
    if not chosen:
        jax.config.update("jax_compilation_cache_dir", str(folder))
    # Small programs are worth keeping too: a laptop cascade compiles a dozen of them.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder
