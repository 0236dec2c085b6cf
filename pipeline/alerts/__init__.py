"""Alerts: what is raised when a series spikes, the rules, the lifecycle and the evidence."""
