"""Benchmarks, answers, metrics and reports."""
