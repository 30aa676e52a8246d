"""A program that starts a server and holds it until it is ended: `hold_server.py SERVER OVERRIDE_JSON LOG_DIR`.

It prints the server's process id, as the host numbers it, when the server is ready.
"""

import json
import sys
import time
from pathlib import Path

from tokgate.config.catalogue import Catalogue
from tokgate.launch.start import start

name, override, log_dir = sys.argv[1:]
spec = Catalogue(Path(__file__).parents[2] / "fixtures").server(name, json.loads(override))
with start(spec, log_dir=Path(log_dir)) as server:
    assert server.facts.pids is not None
    print(server.facts.pids[0], flush=True)
    time.sleep(120)
