"""Using the pages as a browser does: log in, take the CSRF token from a page, post it along."""

import html
import re

from flask import g
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.models import User
from tests.fixtures.app import log_in

TOKEN = re.compile(r'<meta name="csrf-token" content="([^"]+)"')


class Person:
    """A user with a browser, standing in one panel."""

    def __init__(self, client: FlaskClient, user: User, panel: str = "empleo", home: str = "lists") -> None:
        g.pop("_login_user", None)  # The tests' application context outlives its requests.
        self.client = log_in(client, user)
        self.prefix = f"/p/{panel}"
        self.home = home

    def get(self, path: str, **kwargs: object) -> TestResponse:
        return self.client.get(self.prefix + path, **kwargs)

    def post(self, path: str, data: dict[str, object] | None = None, **kwargs: object) -> TestResponse:
        return self.client.post(self.prefix + path, data={"csrf_token": self.token(), **(data or {})}, **kwargs)

    def token(self) -> str:
        return TOKEN.search(self.client.get(f"{self.prefix}/{self.home}").text).group(1)

    def text(self, path: str) -> str:
        """The page's text, as read aloud: no tags, entities decoded."""
        response = self.get(path)
        assert response.status_code == 200, response.status
        return text_of(response)


def text_of(response: TestResponse) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.text)).split())
