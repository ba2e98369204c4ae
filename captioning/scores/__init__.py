"""Scores: metrics, tables, plots."""
