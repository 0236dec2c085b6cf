"""What one supervisord keeps in memory, as an extension of its RPC interface.

The environment of the workers lives here and in no file: it may hold secrets. With it here a worker
can be started anew with other settings while all others, Kafka and Redis run on.

This runs inside supervisord. It is called one call at a time, and every answer is a plain value of
XML-RPC; variables travel as JSON, because XML has no place for some characters.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from supervisor import events
from supervisor.states import ProcessStates

WORKERS = "workers"
"""The group of processes whose environment and members change."""
_ENDED = (ProcessStates.BACKOFF, ProcessStates.EXITED)


class Memory:
    """The namespace `weathervane` of the RPC interface."""

    def __init__(self, supervisord: Any) -> None:
        self._supervisord = supervisord
        self._variables: dict[str, str] = {}
        self._restarts: Counter[str] = Counter()
        events.subscribe(events.ProcessStateStartingEvent, self._starts)

    def remember(self, variables: str) -> bool:
        """Add these variables, a JSON object, to the environment of workers that start from now on;
        those of the last call are forgotten."""
        self._variables = json.loads(variables)
        self._hand_out()
        return True

    def recall(self) -> str:
        """The variables of the last `remember`, as a JSON object."""
        return json.dumps(self._variables)

    def restarts(self) -> str:
        """How often each process was started again after it had ended by itself, as JSON."""
        return json.dumps(self._restarts)

    def rearrange(self) -> bool:
        """Take the members of the group of workers from the configuration file: new ones join it,
        stopped, and those that are not named there leave it. The latter have to be stopped."""
        self._supervisord.options.process_config(do_usage=False)
        named = {group.name: group for group in self._supervisord.options.process_group_configs}
        groups = self._supervisord.process_groups
        if WORKERS in named and WORKERS not in groups:
            self._supervisord.add_process_group(named[WORKERS])
        elif WORKERS in groups:
            group = groups[WORKERS]
            configs = named[WORKERS].process_configs if WORKERS in named else []
            for name in set(group.processes) - {config.name for config in configs}:
                del group.processes[name]
            for config in configs:
                if config.name not in group.processes:
                    config.create_autochildlogs()
                    group.processes[config.name] = config.make_process(group)
        self._hand_out()
        return True

    def _hand_out(self) -> None:
        group = self._supervisord.process_groups.get(WORKERS)
        for process in group.processes.values() if group is not None else ():
            process.config.environment = dict(self._variables)

    def _starts(self, event: Any) -> None:
        if event.from_state in _ENDED:
            self._restarts[event.process.config.name] += 1


def make(supervisord: Any) -> Memory:
    """The factory that the configuration names."""
    return Memory(supervisord)
