"""Training from a TOML recipe: towers first, then the fusion, then calibration."""
