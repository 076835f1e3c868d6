"""The report as one self-contained HTML page, and as a small fragment for notebooks."""

from vr.pipeline.page.render import render, render_summary

__all__ = ["render", "render_summary"]
