"""Secrets at rest: DKIM private keys and relay passwords are encrypted with a key derived from the installation's."""

import base64

from cryptography.fernet import Fernet

from app.config import Settings


def secret_box(settings: Settings) -> Fernet:
    """AES-128-CBC with HMAC-SHA256 (Fernet), keyed for this one purpose."""
    return Fernet(base64.urlsafe_b64encode(settings.derived_key("secrets-at-rest")))


def seal(settings: Settings, secret: str) -> bytes:
    return secret_box(settings).encrypt(secret.encode())


def unseal(settings: Settings, sealed: bytes) -> str:
    """Raises ``cryptography.fernet.InvalidToken`` where the installation's key is another one."""
    return secret_box(settings).decrypt(sealed).decode()
