"""Defects planted in held-out real rows: what row scores find of them, beside other tools."""
