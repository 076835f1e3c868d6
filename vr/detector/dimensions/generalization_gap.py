"""Generalization gap: does a model trained on the candidate do worse on real rows than one trained on real rows?"""
