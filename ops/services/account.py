"""Which system user a service runs as, and its way to the files that it needs.

PostgreSQL refuses to run as root, so root's services run as a system user without log-in or home. A checkout
often lies below a directory that other users may not enter (`/root`, mode 0700). Opening that to everybody
would be rude: the account alone may pass through, by an access control list where the file system has them.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from ops.services.errors import ServiceError

SYSTEM_USER = "chaski"

# acl(5) as the kernel stores it (linux/posix_acl_xattr.h): a version, then entries of tag, permissions, id.
_ACL = "system.posix_acl_access"
_ACL_VERSION = 2
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_SEARCH = 0o1


class PopenAccount(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int


def popen_account(account: Account | None) -> PopenAccount:
    """What subprocess needs to run something as the account; nothing where there is none."""
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


def service_account(owned: Path) -> Account | None:
    """The account that the service with the directory `owned` runs as; None means: as whoever we are.

    Root runs it as the directory's owner where that is an ordinary user, else as a system user made for it.
    """
    if os.geteuid() != 0:
        return None
    if owned.exists() and (uid := owned.stat().st_uid) != 0:
        return _account_of(uid, owned)
    return _system_account()


def _account_of(uid: int, owned: Path) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise ServiceError(
            f"{owned} belongs to the user number {uid}, which this machine does not know. "
            f"Give it to an existing user (chown -R USER) and start again."
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _system_account() -> Account:
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        problem = _add_system_user()
        try:
            entry = pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            raise ServiceError(
                f"PostgreSQL refuses root, and the user {SYSTEM_USER!r} could not be made ({problem}). "
                f"Make it by hand, or start Chaski as an ordinary user."
            ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _add_system_user() -> str:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    try:
        made = subprocess.run(
            [*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return "the command useradd is missing"
    return made.stderr.strip()


def give(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid)


def let_pass(path: Path, account: Account | None) -> None:
    """Let the account pass through every directory above `path`, and nobody else if possible."""
    if account is None:
        return
    for directory in reversed(path.resolve().parents):
        if not _may_search(directory, account):
            _allow_search(directory, account)


def _may_search(directory: Path, account: Account) -> bool:
    status = directory.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    entries = _read_acl(directory)
    if entries is not None and (_USER, account.uid) in entries:
        mask = entries.get((_MASK, _NO_ID), 0o7)
        return bool(entries[(_USER, account.uid)] & mask & _SEARCH)
    return bool(status.st_mode & stat.S_IXOTH)


def _allow_search(directory: Path, account: Account) -> None:
    try:
        _write_acl(directory, account)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOSYS):
            raise
        directory.chmod(stat.S_IMODE(directory.stat().st_mode) | stat.S_IXOTH)


def _read_acl(directory: Path) -> dict[tuple[int, int], int] | None:
    try:
        raw = os.getxattr(directory, _ACL)
    except OSError:
        return None
    return {(tag, number): permissions for tag, permissions, number in struct.iter_unpack("<HHI", raw[4:])}


def _write_acl(directory: Path, account: Account) -> None:
    mode = directory.stat().st_mode
    entries = _read_acl(directory) or {
        (_USER_OBJ, _NO_ID): mode >> 6 & 0o7,
        (_GROUP_OBJ, _NO_ID): mode >> 3 & 0o7,
        (_MASK, _NO_ID): mode >> 3 & 0o7,
        (_OTHER, _NO_ID): mode & 0o7,
    }
    entries[(_USER, account.uid)] = _SEARCH
    # The mask bounds every named entry; without this a later `chmod g-x` would silently shut the account out.
    entries[(_MASK, _NO_ID)] = entries.get((_MASK, _NO_ID), entries[(_GROUP_OBJ, _NO_ID)]) | _SEARCH
    packed = [struct.pack("<HHI", tag, entries[(tag, number)], number) for tag, number in sorted(entries)]
    os.setxattr(directory, _ACL, struct.pack("<I", _ACL_VERSION) + b"".join(packed))


def make_runnable(program: Path, tree: Path, account: Account | None) -> None:
    """Let the account run `program`, whose files lie in `tree` (a strict umask may have hidden them)."""
    if account is None or _runs(program, account):
        return
    let_pass(program, account)
    if not _runs(program, account):
        _make_readable(tree)
    if not _runs(program, account):
        raise ServiceError(f"The user {account.name} cannot run {program}. Is its file system mounted noexec?")


def _runs(program: Path, account: Account) -> bool:
    try:
        tried = subprocess.run(
            [program, "--version"], capture_output=True, cwd="/", check=False, **popen_account(account)
        )
    except OSError:
        return False
    return tried.returncode == 0


def _make_readable(tree: Path) -> None:
    readable = stat.S_IRGRP | stat.S_IROTH
    searchable = stat.S_IXGRP | stat.S_IXOTH
    for path in [tree, *tree.rglob("*")]:
        if path.is_symlink():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | readable | (searchable if mode & stat.S_IXUSR else 0))
