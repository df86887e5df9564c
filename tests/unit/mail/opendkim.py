"""OpenDKIM's verifier, the library that `opendkim-testmsg` is a thin front of.

`opendkim-testmsg` itself asks the DNS of the machine for keys and offers no other source. Its library does: a
file of keys (DKIM_QUERY_FILE), which OpenDKIM's own tests use. So the library is called; no DNS is asked.
"""

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

# From OpenDKIM's dkim.h.
_SETOPT, _OPTS_QUERYMETHOD, _OPTS_QUERYINFO, _QUERY_FILE = 1, 6, 7, 1
_STAT_OK = 0
_SIGFLAG_PASSED = 0x04
_BH_MATCH = 0


def library() -> ctypes.CDLL | None:
    """Debian's libopendkim, which comes with opendkim-tools; None where it isn't installed."""
    name = find_library("opendkim")
    if name is None:
        return None
    found = ctypes.CDLL(name)
    for function in ("dkim_init", "dkim_verify", "dkim_sig_getdomain"):
        getattr(found, function).restype = ctypes.c_void_p
    return found


def passed_signatures(wire: bytes, records: Mapping[str, str], key_file: Path) -> list[bool]:
    """For each DKIM-Signature of the message, from the top, whether OpenDKIM finds it and the body valid."""
    key_file.write_text("".join(f"{name} {record}\n" for name, record in records.items()))
    found = library()
    assert found is not None
    with _verifier(found, str(key_file).encode()) as dkim:
        for chunk, length in ((wire, len(wire)), (None, 0)):
            assert found.dkim_chunk(dkim, chunk, ctypes.c_size_t(length)) == _STAT_OK
        found.dkim_eom(dkim, None)
        return [_has_passed(found, dkim, signature) for signature in _signatures(found, dkim)]


@contextmanager
def _verifier(found: ctypes.CDLL, key_file: bytes) -> Iterator[ctypes.c_void_p]:
    lib = ctypes.c_void_p(found.dkim_init(None, None))
    method = ctypes.c_int(_QUERY_FILE)
    found.dkim_options(lib, _SETOPT, _OPTS_QUERYMETHOD, ctypes.byref(method), ctypes.c_size_t(4))
    found.dkim_options(lib, _SETOPT, _OPTS_QUERYINFO, key_file, ctypes.c_size_t(len(key_file)))
    status = ctypes.c_int()
    dkim = ctypes.c_void_p(found.dkim_verify(lib, b"test", None, ctypes.byref(status)))
    assert status.value == _STAT_OK
    try:
        yield dkim
    finally:
        found.dkim_free(dkim)
        found.dkim_close(lib)


def _signatures(found: ctypes.CDLL, dkim: ctypes.c_void_p) -> list[ctypes.c_void_p]:
    array = ctypes.POINTER(ctypes.c_void_p)()
    count = ctypes.c_int()
    assert found.dkim_getsiglist(dkim, ctypes.byref(array), ctypes.byref(count)) == _STAT_OK
    return [ctypes.c_void_p(array[index]) for index in range(count.value)]


def _has_passed(found: ctypes.CDLL, dkim: ctypes.c_void_p, signature: ctypes.c_void_p) -> bool:
    # dkim_eom stops at the first good signature; the others are judged one by one.
    found.dkim_sig_process(dkim, signature)
    has_passed = bool(found.dkim_sig_getflags(signature) & _SIGFLAG_PASSED)
    return has_passed and found.dkim_sig_getbh(signature) == _BH_MATCH
