"""Open and click: what is counted, where links lead, and that whatever is wrong gets one and the same answer."""

import dataclasses
import json
import struct
from datetime import date

import pytest
from redis import Redis
from sqlalchemy import text
from werkzeug.test import Client, TestResponse

from app.config import Settings
from app.flow.hit_stream import STREAM
from app.flow.sessions import AnySession
from app.mail.tokens import make_token
from app.models.partitions import ensure_partitions
from app.web.public import create_tracking_application
from app.web.public.campaign_cache import redirect_target
from tests.fixtures.tracking import Sent


def hits(broker: Redis) -> list[dict[str, object]]:
    return [json.loads(fields[b"hit"]) for _id, fields in broker.xrange(STREAM)]


def test_pixel_is_a_transparent_gif_of_43_bytes_and_counts(public: Client, sent: Sent, broker: Redis) -> None:
    answer = public.get(
        f"/o/{sent.token()}.gif", headers={"User-Agent": "Mail/1.0"}, environ_base={"REMOTE_ADDR": "192.0.2.7"}
    )
    assert (answer.status_code, answer.content_type, len(answer.data)) == (200, "image/gif", 43)
    assert answer.data[:6] == b"GIF89a" and struct.unpack("<HH", answer.data[6:10]) == (1, 1)
    assert "no-store" in answer.headers["Cache-Control"]
    (hit,) = hits(broker)
    assert {k: hit[k] for k in "kcsniu"} == {
        "k": "open", "c": sent.campaign_id, "s": sent.seqs["ana@example.pe"], "n": None, "i": "192.0.2.7", "u": "Mail/1.0",
    }  # fmt: skip


def test_click_redirects_to_the_campaigns_nth_link_and_counts(public: Client, sent: Sent, broker: Redis) -> None:
    answer = public.get(f"/c/{sent.token()}/0")
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://example.pe/feria")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in answer.headers["Cache-Control"]
    assert [(hit["k"], hit["n"]) for hit in hits(broker)] == [("click", 0)]


def test_location_is_an_ascii_uri(public: Client, sent: Sent) -> None:
    assert sent.links[1].startswith("https://example.pe/regi")
    answer = public.get(f"/c/{sent.token()}/1")
    assert answer.headers["Location"] == "https://example.pe/regi%C3%B3n?q=a&b=%C3%B1"


def test_head_is_answered_and_not_counted(public: Client, sent: Sent, broker: Redis) -> None:
    pixel, click = public.head(f"/o/{sent.token()}.gif"), public.head(f"/c/{sent.token()}/0")
    assert (pixel.status_code, pixel.data, pixel.headers["Content-Length"]) == (200, b"", "43")
    assert (click.status_code, click.headers["Location"]) == (302, "https://example.pe/feria")
    assert hits(broker) == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(public: Client, sent: Sent, broker: Redis, method: str) -> None:
    for path in (f"/o/{sent.token()}.gif", f"/c/{sent.token()}/0"):
        answer = public.open(path, method=method)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert hits(broker) == []


def test_proofs_work_but_are_not_counted(public: Client, sent: Sent, broker: Redis) -> None:
    assert public.get(f"/o/{sent.proof_token}.gif").status_code == 200
    assert public.get(f"/c/{sent.proof_token}/0").headers["Location"] == "https://example.pe/feria"
    assert hits(broker) == []


def test_links_of_a_drafts_proof_work_before_anything_is_frozen(
    session: AnySession, public: Client, sent: Sent
) -> None:
    session.execute(text("UPDATE campaign SET frozen_on = NULL, audience_size = 0, audience_frozen_at = NULL"))
    session.commit()
    assert public.get(f"/c/{sent.proof_token}/0").status_code == 302
    assert public.get(f"/c/{sent.token()}/0").status_code == 404


def wrong_paths(sent: Sent) -> dict[str, str]:
    token, size = sent.token(), len(sent.seqs)
    foreign = make_token(b"another installation's key, 32 by", sent.campaign_id, 1)
    return {
        "forged": f"/o/{token[:-1]}{'a' if token[-1] != 'a' else 'b'}.gif",
        "another key": f"/o/{foreign}.gif",
        "another sequence number, same MAC": f"/o/{make_token(sent.key, sent.campaign_id, 2)[:16]}{token[16:]}.gif",
        "other case": f"/o/{token.upper()}.gif",
        "not ASCII that folds to ASCII": f"/o/ſ{token[1:]}.gif",
        "empty": "/o/.gif",
        "no ending": f"/o/{token}",
        "another ending": f"/o/{token}.png",
        "a campaign that never was": f"/o/{make_token(sent.key, 4_000_000_000, 1)}.gif",
        "a deleted campaign": f"/o/{make_token(sent.key, sent.campaign_id + 1, 1)}.gif",
        "a delivery beyond the audience": f"/o/{make_token(sent.key, sent.campaign_id, size + 1)}.gif",
        "delivery zero": f"/o/{make_token(sent.key, sent.campaign_id, 0)}.gif",
        "a delivery beyond the column": f"/o/{make_token(sent.key, sent.campaign_id, 2**47)}.gif",
        "a link too many": f"/c/{token}/2",
        "a negative link": f"/c/{token}/-1",
        "a link with zeros": f"/c/{token}/00",
        "a link with a sign": f"/c/{token}/+0",
        "a link in other digits": f"/c/{token}/٠",
        "a URL instead of a number": f"/c/{token}/https://evil.example.com/",
        "a number and a URL": f"/c/{token}/0/https://evil.example.com/",
        "a number and a URL as parameter": f"/c/{token}/?url=https://evil.example.com/",
        "no number": f"/c/{token}/",
        "no slash": f"/c/{token}",
        "climbing out": f"/c/{token}/../../etc/passwd",
        "line breaks": f"/c/{token}/0%0d%0aSet-Cookie:%20a=b",
        "a NUL": f"/o/{token}%00.gif",
        "very long": f"/o/{'a' * 100_000}.gif",
        "unsubscribing, forged": f"/u/{token[:-1]}{'a' if token[-1] != 'a' else 'b'}",
        "unsubscribing, other case": f"/u/{token.upper()}",
        "unsubscribing, missing delivery": f"/u/{make_token(sent.key, sent.campaign_id, size + 1)}",
        "unsubscribing, missing campaign": f"/u/{make_token(sent.key, sent.campaign_id + 1, 1)}",
        "unsubscribing, beyond every column": f"/u/{make_token(sent.key, 4_000_000_000, 2**47)}",
        "unsubscribing, a proof that is gone": f"/u/{sent.proof_token[:-1]}2",
        "unsubscribing, deeper": f"/u/{token}/x",
        "nothing of ours": "/wp-login.php",
    }


def shape(answer: TestResponse) -> tuple[int, bytes, dict[str, str]]:
    return answer.status_code, answer.data, dict(answer.headers)


def test_whatever_is_wrong_gets_the_same_404(public: Client, sent: Sent, broker: Redis) -> None:
    (expected, body, headers) = shape(public.get("/o/nothing"))
    assert expected == 404 and b"evil" not in body
    for what, path in wrong_paths(sent).items():
        assert shape(public.get(path)) == (404, body, headers), what
    assert hits(broker) == []


def test_expired_tokens_answer_like_wrong_ones_but_still_unsubscribe(
    session: AnySession, public: Client, sent: Sent, broker: Redis, settings: Settings
) -> None:
    session.execute(text("UPDATE campaign_link SET position = 9 WHERE position = 1"))
    assert settings.tracking_token_days == 730
    # The ledger is partitioned by this day, so the delivery moves along.
    ensure_partitions(session.connection(), date(2020, 1, 5))
    session.execute(text("UPDATE delivery SET frozen_on = '2020-01-05'"))
    session.execute(text("UPDATE campaign SET frozen_on = '2020-01-05'"))
    session.commit()
    nothing = shape(public.get("/o/nothing"))
    assert shape(public.get(f"/o/{sent.token()}.gif")) == nothing
    assert shape(public.get(f"/c/{sent.token()}/9")) == nothing
    assert hits(broker) == []
    assert public.get(f"/u/{sent.token()}").status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example.com/",
        "/relative",
        "https://",
        "https://example.pe/\r\nSet-Cookie: a=b",
        "ftp://example.pe/",
        "https://[::1",
        "",
    ],
)
def test_what_is_no_web_address_is_never_redirected_to(url: str) -> None:
    target = redirect_target(url)
    assert target is None or ("\r" not in target and "\n" not in target and target.startswith("https://example.pe/"))
    if "example.pe/\r" not in url:
        assert target is None


def test_a_hostile_link_in_the_database_is_a_404(session: AnySession, public: Client, sent: Sent) -> None:
    session.execute(text("UPDATE campaign_link SET url = 'javascript:alert(1)' WHERE position = 0"))
    session.commit()
    assert public.get(f"/c/{sent.token()}/0").status_code == 404


def test_links_of_another_campaign_stay_out_of_reach(session: AnySession, public: Client, sent: Sent) -> None:
    session.execute(
        text("UPDATE campaign_link SET position = position + 5 WHERE campaign_id = :id"), {"id": sent.campaign_id}
    )
    session.commit()
    assert public.get(f"/c/{sent.token()}/0").status_code == 404
    assert public.get(f"/c/{sent.token()}/5").status_code == 302


def test_redis_away_pixel_and_link_still_work_and_hits_wait_on_disk(
    app: object, settings: Settings, sent: Sent
) -> None:
    away = Client(create_tracking_application(dataclasses.replace(settings, redis_url="redis://127.0.0.1:1/0")))
    assert away.get(f"/o/{sent.token()}.gif").status_code == 200
    assert away.get(f"/c/{sent.token()}/0").headers["Location"] == "https://example.pe/feria"
    spool = settings.spool_dir / "hits.jsonl"
    assert [json.loads(line)["k"] for line in spool.read_text().split()] == ["open", "click"]
    assert spool.stat().st_mode & 0o077 == 0


def test_postgres_away_known_campaigns_work_and_unknown_ones_say_try_again(
    app: object, settings: Settings, sent: Sent, broker: Redis
) -> None:
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    cold = Client(create_tracking_application(dataclasses.replace(settings, database_url=nowhere)))
    click = cold.get(f"/c/{sent.token()}/0")
    assert (click.status_code, click.headers["Retry-After"]) == (503, "30")
    assert cold.get(f"/u/{sent.token()}").status_code == 503
    # The open of an unknown campaign is kept for the tracker, which knows it later.
    assert cold.get(f"/o/{sent.token()}.gif").status_code == 200
    assert [hit["k"] for hit in hits(broker)] == ["open"]
    assert cold.get(f"/o/{sent.token()[:-1]}.gif").status_code == 404


def test_404_speaks_the_readers_language(public: Client) -> None:
    spanish, english = (
        public.get("/o/x", headers={"Accept-Language": language}) for language in ("es-PE,es;q=0.9", "en-GB")
    )
    assert '<html lang="es">' in spanish.text
    assert '<html lang="en">' in english.text
    assert spanish.headers["Vary"] == "Accept-Language"
