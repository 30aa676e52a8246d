"""Instruments: what one run or command learns once and uses for all of its measurements."""

from __future__ import annotations

from tokgate.config.hardware import Hardware
from tokgate.config.server import AttachLaunch, DockerLaunch, EmbeddedLaunch, ServerSpec
from tokgate.config.workload import PromptSet
from tokgate.launch.server import Server
from tokgate.machine.speed import probe_speed
from tokgate.measure.measurement import Answers, Bias
from tokgate.suite.calibrate import measure_client_bias
from tokgate.suite.canary import ask_canary


class Instruments:
    """The bias of this client, by number of streams, the speed of this machine, and the canary answers of each server.

    Each is measured when it is first needed.
    """

    def __init__(self) -> None:
        self._bias: dict[int, Bias | None] = {}
        # By identity, which is that of the launch; the server is kept, so that its identity is not used again.
        self._answered: dict[int, tuple[Server, Answers]] = {}
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
        if spec.model.bytes_per_token is None or not runs_on_cpu(spec):
            return None
        if self._speed is None:
            self._speed = probe_speed()
        return self._speed

    def canary_answers(self, server: Server, prompts: PromptSet) -> Answers:
        """What the model answers on this launch; all cases of a launch share the answers."""
        if id(server) not in self._answered:
            self._answered[id(server)] = server, ask_canary(server, prompts)
        return self._answered[id(server)][1]


def runs_on_cpu(spec: ServerSpec) -> bool:
    """Whether this machine's CPUs make the tokens."""
    match spec.launch:
        case DockerLaunch(devices=devices, gpus=gpus):
            return not devices and gpus is None
        case EmbeddedLaunch():
            return True
        case AttachLaunch():
            return False  # it may be anywhere, on anything
