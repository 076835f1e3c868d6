"""What remedies do to the study's candidates: predicted by the tool, and measured by training."""
