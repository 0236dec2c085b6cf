"""Kafka, Redis and the workers as supervised child processes of one machine."""
