"""What may be a password, and what attackers try first."""

import pytest

from app.flow import passwords


@pytest.mark.parametrize(
    "password",
    [
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "123456789012",
        "qwertyuiopasdf",
        "Contraseña2026!",
        "P@ssw0rd1234",
        "ministerio-trabajo",
        "Administrador1",
        "bienvenido12345",
        "chaski.chaski.2026",
        "1q2w3e4r5t6y",
        "Setiembre.2026!!",
        "210987654321",
    ],
)
def test_common_passwords_are_refused(password):
    with pytest.raises(passwords.PasswordRefused) as refused:
        passwords.check(password)
    assert refused.value.code == "common"


@pytest.mark.parametrize(
    "password", ["caballo grapa correcta pila", "Zx9-kelp-quinua-Tarwi", "lluvia sobre tejado rojo"]
)
def test_long_uncommon_passwords_are_taken(password):
    passwords.check(password, about=("Alicia Ejemplo", "alicia"))


def test_a_password_needs_twelve_characters():
    with pytest.raises(passwords.PasswordRefused) as refused:
        passwords.check("Zx9-kelp-qu")
    assert refused.value.code == "too_short"


def test_a_megabyte_is_no_password():
    with pytest.raises(passwords.PasswordRefused) as refused:
        passwords.check("Zx9-kelp-quinua" * 70_000)
    assert refused.value.code == "too_long"


def test_ones_own_name_is_no_password():
    with pytest.raises(passwords.PasswordRefused) as refused:
        passwords.check("alicia.ejemplo.2026", about=("Alicia Ejemplo", "alicia"))
    assert refused.value.code == "personal"


def test_generated_passwords_are_strong_and_differ():
    made = {passwords.generate() for _ in range(200)}
    assert len(made) == 200
    for password in made:
        passwords.check(password)


def test_hashes_are_argon2id_with_the_memory_of_rfc_9106():
    stored = passwords.hash_password("caballo grapa correcta pila")
    assert stored.startswith("$argon2id$")
    assert "m=65536" in stored
    assert passwords.verify(stored, "caballo grapa correcta pila")
    assert not passwords.verify(stored, "caballo grapa correcta pilas")


def test_a_broken_hash_verifies_nothing():
    assert not passwords.verify("", "caballo grapa correcta pila")
    assert not passwords.verify("not a hash", "caballo grapa correcta pila")
