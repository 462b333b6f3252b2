"""Asks a real Prometheus the dashboard's queries: `python -m tests.docs.evaluate_dashboard /path/to/prometheus`.

It scrapes a connection (to PostgreSQL, so that there is a pool) that is at work meanwhile. The exit status is 1 where a
query is refused, or has no answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from socket import create_server
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from prometheus_client import CollectorRegistry, start_http_server

from claude_tiu import CompleteTask, TiuError, connect, migrate_up, register_metrics
from tests.support.busy import keep_busy
from tests.support.dashboard import queries
from tests.support.history import create_user, uid
from tests.support.postgres_server import find_bindir, temporary_server

SECONDS = 40
"""As long as it is at work: rates want several scrapes."""
CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: service, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""


def main() -> int:
    bindir = find_bindir()
    if bindir is None:
        raise RuntimeError("no PostgreSQL: install the test extra")
    with temporary_server(bindir) as url, TemporaryDirectory() as folder:
        return _evaluate(Path(sys.argv[1]), url, Path(folder))


def _evaluate(prometheus: Path, url: str, folder: Path) -> int:
    registry, port, own = CollectorRegistry(), free_port(), free_port()
    migrate_up(url)
    with connect(url, project=False) as tiu:
        register_metrics(tiu, registry)
        server, _ = start_http_server(port, "127.0.0.1", registry)
        (folder / "prometheus.yml").write_text(CONFIG.format(port=port), encoding="utf-8")
        options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        asked = [str(prometheus), *options, f"--web.listen-address=127.0.0.1:{own}"]
        process = subprocess.Popen(asked, stderr=subprocess.DEVNULL)
        try:
            time.sleep(3)  # a first scrape, without any of what is counted
            keep_busy(tiu)
            until = time.monotonic() + SECONDS
            number = 0
            while time.monotonic() < until:
                number += 1
                tiu.execute(create_user(f"user-{number}"))
                with suppress(TiuError):
                    tiu.execute(CompleteTask(task_id=uid("no task")))
                tiu.catch_up()
                for _ in tiu.subscribe("mails", until_end=True):
                    pass
                time.sleep(0.2)
            told = [(title, query, answer(own, query)) for title, query in queries()]
        finally:
            process.terminate()
            process.wait()
            server.shutdown()
    for title, query, found in told:
        sys.stdout.write(f"{'ok ' if found else 'NO '} {title}: {found or query}\n")
    return 0 if all(found for _, _, found in told) else 1


def free_port() -> int:
    with closing(create_server(("127.0.0.1", 0))) as made:
        port: int = made.getsockname()[1]
        return port


def answer(port: int, query: str) -> list[Any]:
    """Return the labels and the value of each series that a query comes to, now."""
    asked = f"http://127.0.0.1:{port}/api/v1/query?{urlencode({'query': query})}"
    try:
        with urlopen(asked, timeout=20) as response:
            found = json.load(response)["data"]["result"]
    except (URLError, KeyError) as error:
        sys.stdout.write(f"{query}: {error}\n")
        return []
    return [({k: v for k, v in one["metric"].items() if k != "__name__"}, one["value"][1]) for one in found][:3]


if __name__ == "__main__":
    sys.exit(main())
