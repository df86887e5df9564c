import pytest
from email_validator import validate_email
from hypothesis import given
from hypothesis import strategies as st

from app.mail.addresses import Address, AddressProblem, domain_to_ascii, parse_address
from app.mail.header_words import check_address


def ok(raw: str) -> str:
    parsed = parse_address(raw)
    assert isinstance(parsed, Address), parsed
    assert parsed.address == f"{parsed.local_part}@{parsed.domain}" == str(parsed)
    return parsed.address


@pytest.mark.parametrize(
    "raw, address",
    [
        ("rosa@example.pe", "rosa@example.pe"),
        ("Rosa.Huaman+Feria@Example.PE", "rosa.huaman+feria@example.pe"),
        ("  rosa@example.pe\r\n", "rosa@example.pe"),
        ("\ufeffrosa@example.pe\xa0", "rosa@example.pe"),
        ("ro\u200bsa@example.pe", "rosa@example.pe"),
        ("rosa@ñandú.pe", "rosa@xn--and-6ma2c.pe"),
        ("rosa@ÑANDÚ.PE", "rosa@xn--and-6ma2c.pe"),
        ("rosa@xn--and-6ma2c.pe", "rosa@xn--and-6ma2c.pe"),
        ("o'higgins@example.pe", "o'higgins@example.pe"),
        ("a@mail.sub-dominio.example.gob.pe", "a@mail.sub-dominio.example.gob.pe"),
        ("1234@example.test", "1234@example.test"),
        ("a@b.invalid", "a@b.invalid"),
        ("a" * 64 + "@example.pe", "a" * 64 + "@example.pe"),
    ],
)
def test_address_is_normalised(raw: str, address: str):
    assert ok(raw) == address


@pytest.mark.parametrize(
    "raw, problem",
    [
        ("", AddressProblem.EMPTY),
        (" \t ", AddressProblem.EMPTY),
        ("rosa.example.pe", AddressProblem.MISSING_AT),
        ("rosa@example.pe, juan@example.pe", AddressProblem.SEVERAL_ADDRESSES),
        ("rosa@example.pe;juan@example.pe", AddressProblem.SEVERAL_ADDRESSES),
        ("rosa@example.pe\r\nBcc: juan@example.pe", AddressProblem.SEVERAL_ADDRESSES),
        ("rosa@@example.pe", AddressProblem.BAD_DOMAIN),
        ("rosa huaman@example.pe", AddressProblem.SPACES),
        ("rosa@exam ple.pe", AddressProblem.SPACES),
        ("rosa\n@example.pe", AddressProblem.SPACES),
        ("Rosa <rosa@example.pe>", AddressProblem.EXTRA_TEXT),
        ("mailto:rosa@example.pe", AddressProblem.EXTRA_TEXT),
        ("ro\x00sa@example.pe", AddressProblem.CONTROL_CHARACTER),
        ("rosa@exam\ud800ple.pe", AddressProblem.CONTROL_CHARACTER),
        ("@example.pe", AddressProblem.MISSING_LOCAL_PART),
        ("a" * 65 + "@example.pe", AddressProblem.LOCAL_PART_TOO_LONG),
        ("nuñez@example.pe", AddressProblem.NON_ASCII_LOCAL_PART),
        ("\u212aarla@example.pe", AddressProblem.NON_ASCII_LOCAL_PART),
        (".rosa@example.pe", AddressProblem.BAD_LOCAL_PART),
        ("rosa.@example.pe", AddressProblem.BAD_LOCAL_PART),
        ("ro..sa@example.pe", AddressProblem.BAD_LOCAL_PART),
        ('"rosa"@example.pe', AddressProblem.BAD_LOCAL_PART),
        ("ro,sa@example.pe", AddressProblem.BAD_LOCAL_PART),
        ("rosa@", AddressProblem.MISSING_DOMAIN),
        ("rosa@localhost", AddressProblem.DOMAIN_WITHOUT_DOT),
        ("rosa@example..pe", AddressProblem.BAD_DOMAIN),
        ("rosa@-example.pe", AddressProblem.BAD_DOMAIN),
        ("rosa@example-.pe", AddressProblem.BAD_DOMAIN),
        ("rosa@exam_ple.pe", AddressProblem.BAD_DOMAIN),
        ("rosa@example.pe.", AddressProblem.BAD_DOMAIN),
        ("rosa@192.0.2.1", AddressProblem.BAD_DOMAIN),
        ("rosa@[192.0.2.1]", AddressProblem.BAD_DOMAIN),
        ("rosa@" + "a" * 64 + ".pe", AddressProblem.BAD_DOMAIN),
        ("rosa@" + "a." * 130 + "pe", AddressProblem.BAD_DOMAIN),
        (
            "a" * 60 + "@" + "b" * 60 + "." + "c" * 60 + "." + "d" * 60 + "." + "e" * 20 + ".pe",
            AddressProblem.TOO_LONG,
        ),
        ("rosa@example.pe" + "x" * 5000, AddressProblem.TOO_LONG),
        ("rosa@☃☃☃.💩\u202e.pe", AddressProblem.CONTROL_CHARACTER),
    ],
)
def test_reason_is_the_one_a_person_needs(raw: str, problem: AddressProblem):
    assert parse_address(raw) is problem


def test_a_document_in_a_cell_is_refused_quickly():
    assert isinstance(parse_address("x" * 5_000_000 + "@example.pe"), AddressProblem)
    assert isinstance(parse_address("a@" * 1_000_000), AddressProblem)


@given(st.text(max_size=80) | st.emails() | st.from_regex(r"[ -~]{1,30}@[ -~]{1,30}"))
def test_whatever_is_accepted_fits_header_and_envelope_and_is_stable(raw: str):
    parsed = parse_address(raw)
    if isinstance(parsed, Address):
        assert check_address(parsed.address) == parsed.address
        assert len(parsed.address) <= 254
        assert parse_address(parsed.address) == parsed
        assert parsed.address == parsed.address.lower()


@given(st.emails(), st.sampled_from(["", " ", "\t"]))
def test_what_email_validator_accepts_of_plain_addresses_is_accepted(address: str, around: str):
    parsed = parse_address(around + address + around)
    try:
        validate_email(address, check_deliverability=False, globally_deliverable=False)
    except ValueError:
        return
    assert isinstance(parsed, Address)


@pytest.mark.parametrize(
    "domain, ascii_domain",
    [
        ("Example.PE", "example.pe"),
        ("ñandú.pe", "xn--and-6ma2c.pe"),
        ("pe", None),
        ("a b.pe", None),
        ("", None),
    ],
)
def test_domain_becomes_ascii(domain: str, ascii_domain: str | None):
    assert domain_to_ascii(domain) == ascii_domain
