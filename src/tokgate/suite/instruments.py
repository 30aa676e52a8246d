"""Instruments: what one run or command learns once and uses for all of its measurements."""

from __future__ import annotations

from tokgate.config.hardware import Hardware
from tokgate.config.server import AttachLaunch, DockerLaunch, ServerSpec
from tokgate.config.workload import PromptSet
from tokgate.launch.server import Server
from tokgate.machine.speed import probe_speed
from tokgate.measure.measurement import Answers, Bias
from tokgate.suite.calibrate import measure_client_bias
from tokgate.suite.canary import ask_canary


class Instruments:
    """The bias of this client, by number of streams, the speed of this machine, and the canary answers of the server
    used last.

    Each is measured when it is first needed.
    """

    def __init__(self) -> None:
        self._bias: dict[int, Bias | None] = {}
        self._answered: tuple[Server, Answers] | None = None
        self._speed: Hardware | None = None

    def client_bias(self, streams: int) -> Bias | None:
        """The bias with this many streams; None when a calibration request failed. Takes two seconds at first."""
        if streams not in self._bias:
            self._bias[streams] = measure_client_bias(streams)
        return self._bias[streams]

    def speed(self, spec: ServerSpec) -> Hardware | None:
        """What this machine reaches, where its CPUs make the server's tokens and the model's size is stated; else None.

        Takes a second at first, in which nothing else should run.
        """
        if spec.model.bytes_per_token is None:
            return None
        match spec.launch:
            case DockerLaunch(devices=devices) if devices:
                return None
            case AttachLaunch():
                return None  # it may be anywhere, on anything
        if self._speed is None:
            self._speed = probe_speed()
        return self._speed

    def canary_answers(self, server: Server, prompts: PromptSet) -> Answers:
        """What the model answers on this launch; all cases of a launch share the answers."""
        if self._answered is None or self._answered[0] is not server:
            self._answered = server, ask_canary(server, prompts)
        return self._answered[1]
