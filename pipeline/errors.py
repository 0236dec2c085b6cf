"""The exceptions of the pipeline.

WeathervaneError            anything that ends a command with one plain sentence
├── SettingsError           a setting, or a file that it names, cannot be used
├── ServerUnavailable       Kafka or Redis does not answer
└── Unreadable              one record that cannot be used; it becomes a dead letter
"""

import msgspec

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec's decoders raise on bytes that are not what was expected."""


class WeathervaneError(Exception):
    """Ends a command: its text is one sentence for the person who ran it."""


class SettingsError(WeathervaneError):
    """A setting, or a file that it names, cannot be used."""


class ServerUnavailable(WeathervaneError):
    """Kafka or Redis does not answer."""


class Unreadable(WeathervaneError):
    """One record cannot be used. Its text says what was wrong, where, and what was expected."""
