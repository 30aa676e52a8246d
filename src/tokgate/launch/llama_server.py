"""llama.cpp's own server in this process: `python -m tokgate.launch.llama_server CONFIG_JSON`.

It prints its address on stdout when it is ready; everything llama.cpp writes goes to stderr.
It ends at SIGTERM, and when its stdin closes, which happens however its parent ends.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys

import msgspec


class LlamaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The server's parameters. context: tokens of each of the `parallel` slots."""

    model: str
    alias: str
    threads: int
    context: int
    parallel: int


def end_with_stdin() -> None:
    """Let the kernel end this process when the other end of stdin closes.

    A thread that reads stdin is not enough: loading a model holds the interpreter's lock for minutes.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)  # the default is to terminate
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    closed = select.poll()
    closed.register(0, select.POLLHUP)
    if closed.poll(0):  # it closed before the handler was set
        sys.exit("the process that started this server has ended")


def serve(config: LlamaConfig) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config.model
    params.model_alias = {config.alias}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = config.context * config.parallel
    params.n_parallel = config.parallel
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config.threads
    params.n_gpu_layers = 0
    params.fit_params = False
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.endpoint_metrics = params.endpoint_props = True

    address = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = xllamacpp.Server(params)  # returns when the model is loaded, raises when it cannot be
    print(server.listening_address, file=address, flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    end_with_stdin()
    serve(msgspec.json.decode(sys.argv[1], type=LlamaConfig))
