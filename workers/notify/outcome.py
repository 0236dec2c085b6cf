"""How a sending can fail.

Exception
├── Refused     the receiver did not take it: it may be sent again
├── Unsure      the receiver may have taken it: it did not answer
└── Superseded  another process has taken the message over: it must not be sent
"""


class Refused(Exception):
    """The receiver said no, or was not reached. `final`: it would say no again."""

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class Unsure(Exception):
    """The whole message went out and no answer came."""


class Superseded(Exception):
    """The claim is another's now."""
