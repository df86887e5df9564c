"""What a browser does with a form: reads the token of a page and posts with it."""

import contextvars
import re
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

TOKEN = re.compile(r'<meta name="csrf-token" content="([^"]+)">')


class FreshClient(FlaskClient):
    """Each request in a context of its own, as in real life: an application context that the test holds open would lend
    its ``g``, with the person, the token and the language of the request before."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return contextvars.Context().run(super().open, *args, **kwargs)


def token(client: FlaskClient, page: str = "/login") -> str:
    """The CSRF token of this client's session; ``page`` must answer with a page of ours, also with an error page."""
    match = TOKEN.search(client.get(page, follow_redirects=True).text)
    assert match, f"{page} has no token"
    return match.group(1)


def submit(client: FlaskClient, url: str, form: dict[str, Any] | None = None, **options: Any) -> TestResponse:
    """POST as a page's form does."""
    return client.post(url, data={"csrf_token": token(client), **(form or {})}, **options)
