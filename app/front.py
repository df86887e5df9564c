"""One port for two applications: what recipients reach, and the platform's pages.

``app.wsgi:application``                 both; what the Procfile serves
``app.front:tracking_application()``     what recipients reach alone, for a process or a host of its own; that host runs a
                                         tracker as well (``python -m workers.tracker``), which empties its spool
"""

from typing import TYPE_CHECKING, Any

from app import create_app
from app.config import Settings, load_settings
from app.web.public import create_tracking_application

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PUBLIC_PREFIXES = frozenset({"/o/", "/c/", "/u/"})


class OnePort:
    """The public paths to one application, all others to the other."""

    def __init__(self, public: "WSGIApplication", platform: "WSGIApplication") -> None:
        self._public = public
        self._platform = platform

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        chosen = self._public if environ["PATH_INFO"][:3] in PUBLIC_PREFIXES else self._platform
        return chosen(environ, start_response)


def tracking_application(settings: Settings | None = None) -> "WSGIApplication":
    return create_tracking_application(settings or load_settings())


def make_application(settings: Settings | None = None) -> "WSGIApplication":
    settings = settings or load_settings()
    return OnePort(tracking_application(settings), create_app(settings))
