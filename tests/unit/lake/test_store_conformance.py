"""What every store keeps to: a local folder, S3, Azure."""

from __future__ import annotations

import contextlib
import pickle
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from raypipe.core.errors import SourceNotFoundError
from raypipe.lake.storage.store import Store, open_store
from tests.object_stores import Place

MIB = 1024 * 1024


@pytest.fixture(params=["local", "s3", "azure"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        (tmp_path / "r").mkdir()
        return open_store(str(tmp_path / "r"), None)
    place: Place = request.getfixturevalue(request.param)
    return open_store(f"{place.root}/{uuid.uuid4().hex[:8]}", place.options)


class TestStore:
    def test_empty(self, store: Store) -> None:
        assert store.files("") == store.files("m") == []
        assert store.entries("") == store.entries("m") == []
        assert store.newer("m", "") == store.folders() == []
        assert not store.exists("m")
        store.delete([])
        store.keep_names(["m/1", "2"])
        store.delete(["m/1"])

    def test_put_replaces_and_get_returns_all(self, store: Store) -> None:
        odd = "m/2 ä+%2F=x&#/y z"
        for path, data in (("m/1/one", b"1"), ("m/1/one", b"two"), (odd, b""), ("mm", bytes(300))):
            store.put(path, data)
        assert store.get("m/1/one") == b"two"
        assert store.get(odd) == b""
        assert store.get("mm") == bytes(300)
        assert store.files("") == ["m/1/one", odd, "mm"]
        assert store.files("m") == ["m/1/one", odd]
        assert store.files("m/1/one") == ["m/1/one"]
        assert store.folders() == ["m"]
        assert store.exists("m")
        assert store.exists("m/1/one")
        assert not store.exists("m/1/on")

    def test_what_is_not_there(self, store: Store) -> None:
        store.put("a/b", b"")
        for path in ("a", "a/c", "x"):
            with pytest.raises(SourceNotFoundError):
                store.get(path)
            with pytest.raises(SourceNotFoundError):
                store.get_range(path, 0, 1)
        store.delete(["x", "a/b", "y"])
        assert store.files("") == []

    def test_ranges(self, store: Store) -> None:
        store.put("x", b"0123456789")
        assert store.get_range("x", 2, 5) == b"234"
        assert store.get_range("x", 8, 50) == b"89"

    def test_put_new_writes_once(self, store: Store) -> None:
        assert store.put_new("log/0", b"first")
        assert not store.put_new("log/0", b"second")
        assert store.get("log/0") == b"first"
        assert store.files("") == ["log/0"]

    def test_of_many_rivals_one_writes(self, store: Store) -> None:
        def rival(n: int) -> bool:
            return store.put_new("log/7", str(n).encode())

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(rival, range(24)))
        assert won.count(True) == 1
        assert store.get("log/7") == str(won.index(True)).encode()

    def test_entries_tell_size_and_time(self, store: Store) -> None:
        now = datetime.now(UTC).replace(tzinfo=None)
        for n in range(3):
            store.put(f"t/{n}", bytes(n))
        found = store.entries("t")
        assert [(e.path, e.size) for e in found] == [("t/0", 0), ("t/1", 1), ("t/2", 2)]
        assert all(abs(e.modified - now) < timedelta(minutes=1) for e in found)
        assert store.entries("t/1") == [found[1]]

    def test_newer_starts_at_a_name(self, store: Store) -> None:
        names = [f"{n:020d}.json" for n in range(12)]
        for name in names:
            store.put(f"t/_delta_log/{name}", b"")
        store.put("t/_delta_log/_last_checkpoint", b"")
        store.put("t/_delta_log/deep/x", b"")
        assert store.newer("t/_delta_log", names[10]) == [*names[10:], "_last_checkpoint"]
        assert store.newer("t/_delta_log", "") == [*names, "_last_checkpoint"]
        assert store.newer("t/_delta_log", "z") == []
        assert store.newer("t", "") == []

    @pytest.mark.parametrize("size", [0, 3, 21 * MIB + 7])
    def test_upload(self, store: Store, tmp_path: Path, size: int) -> None:
        source = tmp_path / "source"
        source.write_bytes((b"0123456789abcdef" * (size // 16 + 1))[:size])
        assert store.upload("d/big", source) == size
        assert store.get("d/big") == source.read_bytes()
        assert [(e.path, e.size) for e in store.entries("d")] == [("d/big", size)]
        assert source.exists()

    def test_a_failed_upload_leaves_nothing(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = tmp_path / "source"
        source.write_bytes(bytes(30 * MIB))
        store.put("d/big", b"old")
        passed = 0

        def broken(*_: object) -> bytes:
            nonlocal passed
            passed += 1
            if passed > 2:
                raise KeyboardInterrupt
            return bytes(8 * MIB)

        monkeypatch.setattr("raypipe.lake.storage.remote._read", broken)
        monkeypatch.setattr("shutil.copyfileobj", lambda *_: broken() and broken() and broken())
        with contextlib.suppress(KeyboardInterrupt):
            store.upload("d/big", source)
            pytest.fail("it did not break off")
        assert [(e.path, e.size) for e in store.entries("d")] == [("d/big", 3)]

    def test_it_pickles_and_shows_no_key(self, store: Store) -> None:
        store.put("x", b"1")
        assert pickle.loads(pickle.dumps(store)).get("x") == b"1"
        assert "testing" not in repr(store)
