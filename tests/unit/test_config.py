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
