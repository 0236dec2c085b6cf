"""Training from a TOML recipe: towers first, then the fusion, then calibration."""

from models.training.run import train

__all__ = ["train"]
