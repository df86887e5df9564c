"""The spool: no hit is lost between writers and the one that takes the file."""

import multiprocessing
import threading
from pathlib import Path

import pytest

from app.flow.hit_spool import HitSpool, read_spooled


def test_lines_come_back_as_they_were_put(tmp_path: Path) -> None:
    spool = HitSpool(tmp_path / "spool")
    spool.append(b"one")
    spool.append(b"two")
    (taken,) = spool.take()
    assert list(read_spooled(taken)) == [b"one", b"two"]


def test_a_taken_file_is_left_until_it_is_unlinked(tmp_path: Path) -> None:
    spool = HitSpool(tmp_path)
    spool.append(b"one")
    first = spool.take()
    spool.append(b"two")
    assert [list(read_spooled(path)) for path in spool.take()] == [[b"one"], [b"two"]]
    assert spool.take()[: len(first)] == first


def test_nothing_spooled_is_nothing_to_take(tmp_path: Path) -> None:
    assert HitSpool(tmp_path / "never made").take() == []


def test_a_line_cut_short_does_not_swallow_the_next(tmp_path: Path) -> None:
    spool = HitSpool(tmp_path)
    spool.append(b"one")
    with (tmp_path / "hits.jsonl").open("ab") as file:
        file.write(b'\n{"h":"cut sho')
    spool.append(b"two")
    (taken,) = spool.take()
    assert list(read_spooled(taken)) == [b"one", b'{"h":"cut sho', b"two"]


def test_an_endless_line_comes_in_bounded_pieces(tmp_path: Path) -> None:
    spool = HitSpool(tmp_path)
    spool.append(b"x" * 100_000)
    (taken,) = spool.take()
    assert max(len(line) for line in read_spooled(taken)) <= 4098


def write(directory: Path, name: int, count: int) -> None:
    spool = HitSpool(directory)
    for number in range(count):
        spool.append(b"%d-%d" % (name, number))


def test_no_line_is_lost_while_processes_write_and_another_takes(tmp_path: Path) -> None:
    writers = [
        multiprocessing.get_context("fork").Process(target=write, args=(tmp_path, name, 3000)) for name in range(3)
    ]
    for writer in writers:
        writer.start()
    spool, found, takes = HitSpool(tmp_path), [], 0
    while any(writer.is_alive() for writer in writers) or (tmp_path / "hits.jsonl").exists():
        for path in spool.take():
            takes += 1
            found += read_spooled(path)
            path.unlink()
    assert takes > 10, "the files were taken while others wrote"
    assert len(found) == len(set(found)) == 9000


def test_a_full_disk_is_told_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = HitSpool(tmp_path)
    spool._waiting = Path("/dev/full")
    with pytest.raises(OSError):
        spool.append(b"one")


def test_threads_share_one_spool(tmp_path: Path) -> None:
    threads = [threading.Thread(target=write, args=(tmp_path, name, 500)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (taken,) = HitSpool(tmp_path).take()
    assert len(set(read_spooled(taken))) == 2000
    assert taken.stat().st_mode & 0o077 == 0
