"""A file of IPs: read in both languages, compared, and done as reviewed or not at all."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy import text as text_of_sql
from sqlalchemy.exc import OperationalError

from app.extensions import db
from app.flow.egress import importing, pools
from app.flow.egress import ips as flow
from app.flow.egress.problems import SheetProblem
from app.flow.egress.ranges import Range, addresses_between, sheet_of_range
from app.flow.egress.sheet import SheetRow, decoded, read_sheet
from app.models import EgressPool, EgressState

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SPANISH = "Dirección;HELO;Grupo;Estado;Peso\n192.0.2.9;Mail-9.example.gob.pe;Masivo;activa;3\n"
ENGLISH = "address,helo,pool,state,weight\n192.0.2.9,mail-9.example.gob.pe,Masivo,active,3\n"


def refused(code, function, *arguments):
    with pytest.raises(SheetProblem) as caught:
        function(*arguments)
    assert caught.value.code == code
    return caught.value.details


def everything(session, relay):
    session.expire_all()
    return [
        (ip.address, ip.helo_name, ip.pool.name, ip.state, ip.weight)
        for ip in session.scalars(flow.ips_of(relay.id).order_by(flow.BY_NUMBER))
    ]


@pytest.mark.parametrize(
    "text", [SPANISH, ENGLISH, SPANISH.replace(";", "\t"), "\ufeff" + SPANISH.replace("\n", "\r\n")]
)
def test_headers_and_states_in_both_languages(text):
    (row,) = read_sheet(text).rows
    assert row == SheetRow(
        line=2,
        address="192.0.2.9",
        helo_name="mail-9.example.gob.pe",
        pool="Masivo",
        state=EgressState.ACTIVE,
        weight=3,
        rate=None,
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_of_offices(encoding):
    assert decoded(SPANISH.encode(encoding)) == SPANISH


def test_files_that_are_none():
    refused("not_text", decoded, b"PK\x03\x04 xlsx")
    refused("not_text", decoded, b"a\0b")
    refused("too_large", decoded, b"a" * (512 * 1024 + 1))
    refused("empty", read_sheet, " \n ")
    refused("no_rows", read_sheet, "address;helo\n;\n")
    refused("not_text", read_sheet, 'address\n"' + "x" * 200_000)
    assert refused("column_missing", read_sheet, "helo;grupo\na;b") == {"column": "address"}
    assert refused("column_unknown", read_sheet, "ip;helo;clave\na;b;c") == {"column": "clave"}
    assert refused("column_repeated", read_sheet, "ip;dirección\na;b") == {"column": "address"}
    refused("too_many_rows", read_sheet, "ip\n" + "192.0.2.1\n" * 2001)


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        (";mail.example.pe;A;;", "address", "address_missing"),
        ("192.0.2.300;mail.example.pe;A;;", "address", "address_invalid"),
        ("0.0.0.0;mail.example.pe;A;;", "address", "address_unusable"),
        ("::ffff:192.0.2.1;mail.example.pe;A;;", "address", "address_repeated"),
        ("192.0.2.9;mail;A;;", "helo", "helo_invalid"),
        ("192.0.2.9;;A;;", "helo", "helo_missing"),
        ("192.0.2.9;mail.example.pe;;;", "pool", "pool_missing"),
        (f"192.0.2.9;mail.example.pe;{'x' * 61};;", "pool", "name_too_long"),
        ("192.0.2.9;mail.example.pe;A;dormida;", "state", "state_unknown"),
        ("192.0.2.9;mail.example.pe;A;;0", "weight", "weight_invalid"),
        ("192.0.2.9;mail.example.pe;A;;1,5", "weight", "weight_invalid"),
        ("192.0.2.9;mail.example.pe;A;;²", "weight", "weight_invalid"),
        ("192.0.2.9;mail.example.pe;A;;1;más", "weight", "too_many_cells"),
    ],
)
def test_wrong_row_is_told_by_row_and_column_and_stops_everything(session, relay, pool, row, column, code):
    text = f"ip;helo;grupo;estado;peso\n192.0.2.1;mail-1.example.gob.pe;Masivo;;\n\n{row}\n"
    found, done = importing.apply(session, relay.id, text, reason="", now=NOW)
    assert not done
    assert [(one.line, one.column, one.code) for one in found.problems] == [(4, column, code)]
    assert everything(session, relay) == []
    assert [one.name for one in pools.pools_of(session, relay.id)] == ["Masivo"]


def test_review_tells_new_changed_and_unchanged_and_changes_nothing(session, relay, pool, ips):
    before = everything(session, relay)
    found = importing.plan(
        session, relay.id,
        "ip;helo;grupo;estado;peso\n192.0.2.1;;;;\n192.0.2.2;otro.example.pe;urgente;cuarentena;9\n"
        "192.0.2.8;mail-8.example.gob.pe;MASIVO;;\n",
    )  # fmt: skip
    assert found.may_be_done
    assert [one.address for one in found.unchanged] == ["192.0.2.1"]
    assert found.changed[0].differences() == [
        ("helo", "mail-2.example.gob.pe", "otro.example.pe"),
        ("pool", "Masivo", "urgente"),
        ("state", EgressState.ACTIVE, EgressState.QUARANTINED),
        ("weight", 1, 9),
    ]
    assert [(one.address, one.before, one.after.pool) for one in found.new] == [("192.0.2.8", None, "Masivo")]
    assert found.new_pools == ["urgente"]
    assert everything(session, relay) == before


def test_import_does_what_was_reviewed(session, relay, pool, ips):
    text = "ip;helo;grupo;estado\n192.0.2.2;;Urgente;cuarentena\n192.0.2.8;mail-8.example.gob.pe;Urgente;\n"
    reviewed = importing.plan(session, relay.id, text)
    _, done = importing.apply(session, relay.id, text, reason="Importación", now=NOW, fingerprint=reviewed.fingerprint)
    assert done
    assert everything(session, relay) == [
        ("192.0.2.1", "mail-1.example.gob.pe", "Masivo", EgressState.ACTIVE, 1),
        ("192.0.2.2", "mail-2.example.gob.pe", "Urgente", EgressState.QUARANTINED, 1),
        ("192.0.2.3", "mail-3.example.gob.pe", "Masivo", EgressState.ACTIVE, 1),
        ("192.0.2.8", "mail-8.example.gob.pe", "Urgente", EgressState.WARMING, 1),
    ]
    two, eight = (flow.find_ip(session, relay.id, address) for address in ("192.0.2.2", "192.0.2.8"))
    assert (two.state_reason, two.state_since) == ("Importación", NOW)
    assert eight.warm_up_started_on == NOW.date()
    again, done = importing.apply(session, relay.id, text, reason="", now=NOW)
    assert not done
    assert len(again.unchanged) == 2


def test_what_was_not_reviewed_is_not_done(session, relay, pool, ips):
    text = "ip;peso\n192.0.2.2;5\n"
    reviewed = importing.plan(session, relay.id, text)
    flow.change_ip(
        session, ips[1],
        flow.IpDetails(address="192.0.2.2", helo_name="nuevo.example.pe", pool_id=pool.id, weight=2),
    )  # fmt: skip
    found, done = importing.apply(session, relay.id, text, reason="", now=NOW, fingerprint=reviewed.fingerprint)
    assert not done
    assert found.changed[0].differences() == [("weight", 2, 5)]
    assert flow.find_ip(session, relay.id, "192.0.2.2").weight == 2


def test_file_touches_no_other_relay(session, relay, other_relay, pool, ips):
    text = "ip;helo;grupo\n192.0.2.1;a.example.pe;Masivo\n"
    assert importing.apply(session, other_relay.id, text, reason="", now=NOW)[1]
    assert flow.find_ip(session, relay.id, "192.0.2.1").helo_name == "mail-1.example.gob.pe"
    assert len(session.scalars(select(EgressPool).where(EgressPool.relay_id == other_relay.id)).all()) == 1


def test_nobody_changes_anything_between_comparing_and_storing(session, relay, pool, ips, monkeypatch):
    text = "ip;helo;grupo\n192.0.2.1;a.example.pe;Otro\n192.0.2.8;b.example.pe;Otro\n"
    store, stopped = importing._store, []
    meanwhile = [
        f"INSERT INTO egress_ip (relay_id, pool_id, address, helo_name, state)"
        f" VALUES ({relay.id}, {pool.id}, '192.0.2.8', 'c.example.pe', 'active')",
        f"UPDATE egress_ip SET weight = 9 WHERE id = {ips[0].id}",
        f"UPDATE egress_pool SET name = 'Otro' WHERE id = {pool.id}",
    ]

    def store_while_others_try(*arguments):
        for statement in meanwhile:
            with pytest.raises(OperationalError, match="lock timeout"), db.engine.begin() as other:
                other.execute(text_of_sql("SET LOCAL lock_timeout = '200ms'"))
                other.execute(text_of_sql(statement))
            stopped.append(statement)
        store(*arguments)

    monkeypatch.setattr(importing, "_store", store_while_others_try)
    assert importing.apply(session, relay.id, text, reason="", now=NOW)[1]
    assert stopped == meanwhile


def test_forty_eight_at_once(session, relay):
    text = sheet_of_range(
        Range(
            addresses="192.0.2.1–192.0.2.48", helo_pattern="mail-{n}.example.gob.pe", pool="Masivo",
            state=EgressState.WARMING,
        )
    )  # fmt: skip
    found, done = importing.apply(session, relay.id, text, reason="", now=NOW)
    assert done
    assert (len(found.new), found.new_pools) == (48, ["Masivo"])
    rows = everything(session, relay)
    assert rows[0][:2] == ("192.0.2.1", "mail-1.example.gob.pe")
    assert rows[47][:2] == ("192.0.2.48", "mail-48.example.gob.pe")


@pytest.mark.parametrize(
    ("typed", "count"),
    [("192.0.2.1-48", 48), ("192.0.2.1 a 192.0.2.48", 48), ("192.0.2.250—192.0.3.5", 12), ("192.0.2.7", 1),
     ("2001:db8::1-2001:db8::10", 16)],
)  # fmt: skip
def test_ways_to_write_a_range(typed, count):
    assert len(addresses_between(typed)) == count


@pytest.mark.parametrize(
    ("typed", "code"),
    [("192.0.2.1-", "range_invalid"), ("x-y", "range_invalid"), ("192.0.2.1-2-3", "range_invalid"), ("", "range_invalid"),
     ("192.0.2.9-192.0.2.1", "range_backwards"), ("10.0.0.0-10.0.4.0", "range_too_long"),
     ("192.0.2.1-2001:db8::1", "range_invalid"), ("192.0.2.1-300", "range_invalid")],
)  # fmt: skip
def test_ranges_that_are_none(typed, code):
    refused(code, addresses_between, typed)


def test_a_range_needs_the_number_in_its_pattern():
    wanted = Range(addresses="192.0.2.1-3", helo_pattern="mail.example.pe", pool="A", state=EgressState.ACTIVE)
    refused("pattern_without_number", sheet_of_range, wanted)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_no_text_breaks_the_reader(text):
    try:
        read_sheet("ip;helo;grupo;estado;peso\n" + text)
        read_sheet(text)
    except SheetProblem:
        pass


RATES = "dirección;helo;grupo;límite por hora\n192.0.2.1;;;{}\n"


@pytest.mark.parametrize(("cell", "limit"), [("5000", 5000), ("", 900), ("sin límite", None), ("none", None)])
def test_hourly_limit_is_set_kept_or_taken_away(session, relay, ips, cell, limit):
    ips[0].rate_per_hour = 900
    session.commit()
    importing.apply(session, relay.id, RATES.format(cell), reason="prueba", now=NOW)
    session.expire_all()
    assert ips[0].rate_per_hour == limit
    assert ips[1].rate_per_hour is None


@pytest.mark.parametrize("cell", ["0", "-1", "1,5", "mucho", "100000001"])
def test_wrong_hourly_limit_is_refused_in_its_cell(session, relay, ips, cell):
    (problem,) = importing.plan(session, relay.id, RATES.format(cell)).problems
    assert (problem.line, problem.column, problem.code, problem.value) == (2, "rate", "rate_invalid", cell)
