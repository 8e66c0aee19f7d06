"""Health and figures for machines, on a loopback port of their own: `/healthz`, `/readyz`, `/metrics`.

One a process, whatever Streamlit runs again. A port that is taken stops nothing: it is logged and shown.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

log = logging.getLogger(__name__)

HOST = "127.0.0.1"


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *_arguments: object) -> None:
        """A probe comes each few seconds: nobody wants to read that."""


def health_app(ready: Callable[[], str | None], registry: CollectorRegistry) -> WSGIApplication:
    """`ready` gives the word that says why not, or None."""
    metrics = make_wsgi_app(registry)

    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            return metrics(environ, start)
        status, said = "404 Not Found", "there are /healthz, /readyz and /metrics"
        if path == "/healthz":
            status, said = "200 OK", "ok"
        elif path == "/readyz":
            why_not = ready()
            status, said = ("200 OK", "ready") if why_not is None else ("503 Service Unavailable", why_not)
        start(status, [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")])
        return [f"{said}\n".encode()]

    return app


class Monitor:
    def __init__(self) -> None:
        self.problem: str | None = None  # one line: why it does not listen
        self._lock = threading.Lock()
        self._server: ThreadingWSGIServer | None = None

    def serve(self, port: int, app: WSGIApplication) -> None:
        """From now on, or if it listens already: this app from now on."""
        with self._lock:
            if self._server is not None:
                self._server.set_app(app)
                return
            try:
                server = make_server(HOST, port, app, ThreadingWSGIServer, _Silent)
            except (OSError, OverflowError) as problem:
                why = getattr(problem, "strerror", None) or problem
                self.problem = f"port {port} can't be used ({why}): set HYPOGRAPH_METRICS_PORT to a free one"
                log.error("no health and metrics: %s", self.problem)
                return
            self.problem, self._server = None, server
            threading.Thread(target=server.serve_forever, name="hypograph-monitor", daemon=True).start()
            log.info("health and metrics on port %d", port)

    def stop(self) -> None:
        with self._lock:
            if self._server is not None:
                self._server.shutdown()
                self._server.server_close()
                self._server = None


MONITOR = Monitor()
"""That of this process."""
