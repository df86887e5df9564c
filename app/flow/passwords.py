"""Passwords: hashing (argon2id), generating, and refusing those that attackers try first.

No outside word list: a long password falls when it is a well-known word in disguise, a pattern, or what everybody knows
about the person; those three are looked for directly.
"""

import re
import secrets
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.flow.problem import Problem

MINIMUM_LENGTH = 12
MAXIMUM_LENGTH = 200
"""Argon2 takes any length; a megabyte of password is an attack."""

GENERATED_LENGTH = 20
ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without characters that are mistaken for each other; 20 of them carry 115 bits."""

COMMON_WORDS = frozenset(
    # A list of a hundred words in quotes would be harder to read and to add to.
    """
    password passwords contrasena contrasenas clave claves secreto secreta secret letmein dejameentrar welcome bienvenido
    bienvenida bienvenidos administrador administradora administrator admin root usuario user invitado guest login acceso
    qwerty qwertyuiop asdfgh asdfghjkl zxcvbn zxcvbnm abc abcd abcdef abcdefg abcdefghijkl iloveyou teamo tequiero
    teamomucho superman batman monkey dragon football futbol baseball princess princesa sunshine shadow master trustno
    peru lima cusco arequipa trujillo alianzalima universitario gobierno ministerio trabajo empleo estado republica
    institucional comunicaciones boletin correo chaski chasqui plataforma changeme cambiame cambiar default temporal
    prueba pruebas test testing ejemplo example demo enero febrero marzo abril mayo junio julio agosto setiembre
    septiembre octubre noviembre diciembre lunes martes miercoles jueves viernes sabado domingo verano invierno otono
    primavera seguro segura seguridad security mi my la el una un de del los las nueva nuevo
    """.split()
)

SEQUENCES = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertyuiopasdfghjklñzxcvbnm",
    "1q2w3e4r5t6y7u8i9o0p",
    "qazwsxedcrfvtgbyhnujmikolp",
)

DISGUISES = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"})


class PasswordRefused(Problem):
    """``code``: ``too_short``, ``too_long``, ``common`` or ``personal``."""


@cache
def hasher() -> PasswordHasher:
    """Argon2id with the parameters of RFC 9106 §4, second choice (64 MiB, 3 passes)."""
    return PasswordHasher()


def hash_password(password: str) -> str:
    return hasher().hash(password)


@cache
def nobodys_hash() -> str:
    """Verified against when the account does not exist, so that the answer takes the same work."""
    return hash_password(secrets.token_urlsafe(24))


def verify(password_hash: str, password: str) -> bool:
    try:
        return hasher().verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(password_hash: str) -> bool:
    return hasher().check_needs_rehash(password_hash)


def generate() -> str:
    """Four groups of five, readable over the telephone."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(GENERATED_LENGTH))
    return "-".join(letters[start : start + 5] for start in range(0, GENERATED_LENGTH, 5))


def check(password: str, *, about: tuple[str, ...] = ()) -> None:
    """Raise :class:`PasswordRefused` unless ``password`` is fit. ``about``: what is known of the person (name, address)."""
    if len(password) < MINIMUM_LENGTH:
        raise PasswordRefused("too_short")
    if len(password) > MAXIMUM_LENGTH:
        raise PasswordRefused("too_long")
    if is_common(password):
        raise PasswordRefused("common")
    if is_personal(password, about):
        raise PasswordRefused("personal")


def is_common(password: str) -> bool:
    """Few different characters, a repeated piece, a run over the keyboard or alphabet, or nothing but well-known words."""
    plain = fold(password)
    core = re.sub(r"^[^a-z@$]+|[^a-z@$]+$", "", plain)  # Digits around a word decorate it, those within disguise it.
    return (
        len(set(plain)) < 5
        or is_repetition(plain)
        or is_sequence(plain)
        or any(not remainder(text, COMMON_WORDS) for text in (plain, core.translate(DISGUISES)))
    )


def is_personal(password: str, about: tuple[str, ...]) -> bool:
    """Made of the person's own name or address, and hardly anything else."""
    words = {word for text in about for word in re.split(r"[^a-z0-9]+", fold(text)) if len(word) >= 3}
    return len(remainder(fold(password), frozenset(words | COMMON_WORDS))) < 4 if words else False


def fold(text: str) -> str:
    """Lower case, without accents."""
    decomposed = unicodedata.normalize("NFKD", text.lower())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def is_repetition(text: str) -> bool:
    """``abcabcabcabc``: a shift of the text by one period lies within its double."""
    return (text + text).find(text, 1) < len(text)


def is_sequence(text: str) -> bool:
    doubled = [s + s for s in SEQUENCES]
    return any(text in s or text in s[::-1] for s in doubled)


def remainder(text: str, words: frozenset[str]) -> str:
    """What is left of the letters when the words, longest first, are taken out; digits and signs count for nothing."""
    letters = re.sub(r"[^a-z]", " ", text)
    for word in sorted(words, key=len, reverse=True):
        letters = letters.replace(word, " ")
    return letters.replace(" ", "")
