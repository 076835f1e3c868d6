"""`vr doctor`: what is installed, what there is to work with, and whether it works."""
