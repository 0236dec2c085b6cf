"""Measurements as ratios in one run: `python -m benchmarks [NAME …]`. No test, fails no build."""
