"""One port for all, or recipients' paths alone; and whose address is believed."""

import dataclasses
import json

import pytest
from redis import Redis
from werkzeug.test import Client

from app.client_address import client_address
from app.config import Settings
from app.flow.hit_stream import STREAM
from app.front import make_application, tracking_application
from tests.fixtures.tracking import Sent


def test_one_port_serves_recipients_and_the_platform(
    app: object, settings: Settings, sent: Sent, broker: Redis
) -> None:
    client = Client(make_application(settings))
    assert client.get(f"/o/{sent.token()}.gif").content_type == "image/gif"
    assert client.get(f"/c/{sent.token()}/0").status_code == 302
    assert "Darme de baja" in client.get(f"/u/{sent.token()}").text
    assert client.get("/u/page.css").content_type.startswith("text/css")
    assert client.get("/healthz").json == {"status": "ok"}
    assert broker.xlen(STREAM) == 2


def test_alone_it_serves_nothing_of_the_platform(app: object, settings: Settings, sent: Sent) -> None:
    client = Client(tracking_application(settings))
    assert client.get(f"/o/{sent.token()}.gif").status_code == 200
    for path in ("/", "/healthz", "/static/css/chaski.css", "/p/empleo/"):
        assert client.get(path).status_code == 404


def test_public_paths_set_no_cookie_and_ignore_those_they_get(app: object, settings: Settings, sent: Sent) -> None:
    client = Client(make_application(settings), use_cookies=False)
    for path in (f"/o/{sent.token()}.gif", f"/c/{sent.token()}/0", f"/u/{sent.token()}"):
        answer = client.get(path, headers={"Cookie": "chaski_session=forged"})
        assert answer.status_code in (200, 302) and "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, None, "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.66, 203.0.113.9", "203.0.113.9"),
        (2, "198.51.100.66, 203.0.113.9, 192.0.2.8", "203.0.113.9"),
        (2, "203.0.113.9", "192.0.2.1"),
        (1, "203.0.113.9, ", "192.0.2.1"),
        (1, "", "192.0.2.1"),
    ],
)
def test_forwarded_for_is_believed_as_far_as_our_own_proxies_wrote_it(
    proxies: int, forwarded: str | None, expected: str
) -> None:
    environ = {"REMOTE_ADDR": "192.0.2.1"} | ({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded is not None else {})
    assert client_address(environ, proxies) == expected


def test_hits_carry_the_clients_address(app: object, settings: Settings, sent: Sent, broker: Redis) -> None:
    client = Client(tracking_application(dataclasses.replace(settings, trusted_proxies=1)))
    client.get(f"/o/{sent.token()}.gif", headers={"X-Forwarded-For": "198.51.100.66, 203.0.113.9"})
    ((_id, fields),) = broker.xrange(STREAM)
    assert json.loads(fields[b"hit"])["i"] == "203.0.113.9"
