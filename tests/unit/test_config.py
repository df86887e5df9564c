"""What a setting may be is checked when the platform starts, not when it has done its harm."""

import pytest

from app.config import ConfigurationError, load_settings

NEEDED = {"DATABASE_URL": "postgresql://x.invalid/x", "BROKER_URL": "redis://x.invalid/0", "SECRET_KEY": "x" * 20}


def loaded(**values):
    return load_settings({"CHASKI_VAR": "/nowhere", **NEEDED, **values})


@pytest.mark.parametrize("value", ["0", "-5"])
@pytest.mark.parametrize(
    "name",
    [
        "KEEP_IMPORT_DAYS",
        "BATCH_SIZE",
        "LEASE_SECONDS",
        "MAX_UPLOAD_MB",
        "MAX_RETRY_AGE_SECONDS",
        "PRACTICE_KEEP_MESSAGES",
        "SESSION_HOURS",
        "SMTP_TIMEOUT_SECONDS",
        "TRACKING_TOKEN_DAYS",
    ],
)
def test_a_number_with_which_nothing_would_work_is_refused_by_name(name, value):
    with pytest.raises(ConfigurationError, match=rf"{name}={value}\b.*1 is the least"):
        loaded(**{name: value})


@pytest.mark.parametrize("name", ["TRUSTED_PROXIES", "RECONCILE_GRACE_SECONDS", "PRACTICE_RELAY_PORT"])
def test_none_is_a_number_where_it_means_something(name):
    assert getattr(loaded(**{name: "0"}), name.lower()) == 0
    with pytest.raises(ConfigurationError, match="0 is the least"):
        loaded(**{name: "-1"})


def test_one_day_is_enough():
    assert loaded(KEEP_IMPORT_DAYS="1").keep_import_days == 1


RABBIT = "amqp://chaski:secreto@rabbit.invalid:5672/chaski"
REDIS = "redis://redis.invalid/0"


@pytest.mark.parametrize(
    "url",
    [
        RABBIT,
        "amqps://chaski:se%2Fcre%40to@rabbit.invalid/chaski",
        "amqp://rabbit.invalid",
        "amqp://chaski:secreto@[::1]:5672/%2F?heartbeat=60",
    ],
)
def test_rabbitmq_rings_where_a_redis_keeps_the_limits(url):
    settings = loaded(BROKER_URL=url, REDIS_URL=REDIS)
    assert settings.broker_is_rabbit
    assert (settings.broker_url, settings.redis_url) == (url, REDIS)


def test_redis_alone_is_broker_and_keeper_of_limits():
    settings = loaded()
    assert not settings.broker_is_rabbit
    assert settings.redis_url == settings.broker_url == NEEDED["BROKER_URL"]


@pytest.mark.parametrize("missing", [{}, {"REDIS_URL": ""}])
def test_rabbitmq_without_a_redis_is_refused_with_the_remedy(missing):
    with pytest.raises(
        ConfigurationError, match=r"REDIS_URL is not set.*Set REDIS_URL=redis://.*on every host"
    ) as told:
        loaded(BROKER_URL=RABBIT, **missing)
    assert "secreto" not in str(told.value)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://",
        "amqp://chaski@rabbit.invalid/x",
        "amqp://chaski:se/creto@rabbit.invalid/x",
        "amqp://chaski:12#secreto@rabbit.invalid/x",
        "amqp://chaski:12?secreto@rabbit.invalid/x",
        "amqp://chaski:secreto@rabbit.invalid:puerto/x",
        "amqp://chaski:secreto@rabbit.invalid/x/y",
        "amqp://chaski:secreto@rabbit.invalid/x?retry=5",
    ],
)
def test_an_address_of_rabbitmq_that_is_none_is_told_without_what_it_says(url):
    with pytest.raises(ConfigurationError, match=r"BROKER_URL is not of the form amqp://") as told:
        loaded(BROKER_URL=url, REDIS_URL=REDIS)
    assert "creto" not in str(told.value) and "puerto" not in str(told.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"BROKER_URL": "kafka://a:secreto@x.invalid"}, "BROKER_URL must be"),
        ({"BROKER_URL": RABBIT, "REDIS_URL": RABBIT}, "REDIS_URL must be"),
        ({"REDIS_URL": RABBIT}, "REDIS_URL must be"),
    ],
)
def test_each_address_is_of_its_kind(wrong, told):
    with pytest.raises(ConfigurationError, match=told) as said:
        loaded(**wrong)
    assert "secreto" not in str(said.value)


def test_settings_that_are_shown_show_no_secret():
    shown = repr(loaded(BROKER_URL=RABBIT, REDIS_URL="redis://:oculto@redis.invalid/0", SECRET_KEY="clave-secreta"))
    assert not any(secret in shown for secret in ("secret", "oculto"))
