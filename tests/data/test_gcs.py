"""What only Cloud Storage does; what it shares is in test_storage."""

from types import SimpleNamespace

import pytest

from tenfold.data import gcs as gcs_module
from tenfold.data.storage import open_storage
from tenfold.errors import StoreError

#: The CRC32C of "123456789", from RFC 3720.
CHECK = "4waSgw=="


def test_crc32c_of_a_known_text(tmp_path):
    (tmp_path / "a").write_bytes(b"123456789")
    assert gcs_module._crc32c(tmp_path / "a") == CHECK


def test_objects_composed_of_others_are_known_by_their_crc32c():
    blob = SimpleNamespace(name="a", size="9", md5_hash=None, crc32c=CHECK)
    assert gcs_module._stamp(blob).digest == f"crc32c:{CHECK}"


def test_of_a_large_upload_only_the_failed_piece_is_sent_again(gs, tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(256)) * (10 << 12))
    gs.proxy.during(
        503,
        times=1,
        when=lambda seen: "1048576-" in seen.headers.get("Content-Range", ""),
    )
    gs.storage.upload(tmp_path / "a", "a")
    pieces = [seen.headers["Content-Range"] for seen in gs.proxy.asked("PUT")]
    assert len(pieces) == 11
    assert len(set(pieces)) == 10
    assert gs.storage.read_bytes("a") == (tmp_path / "a").read_bytes()


@pytest.mark.parametrize("size", [1 << 16, 9 << 20])
def test_a_damaged_upload_is_refused_and_the_older_object_stays(gs, tmp_path, size):
    gs.storage.write_bytes("a", b"old")
    (tmp_path / "a").write_bytes(b"\0" * size)
    gs.proxy.during("damage request", when=lambda seen: len(seen.body) >= 1 << 16)
    with pytest.raises(StoreError, match=r"(?i)cannot write .*/a: .*crc32c"):
        gs.storage.upload(tmp_path / "a", "a")
    assert gs.storage.read_bytes("a") == b"old"


def test_without_credentials_the_cure_is_told(monkeypatch, tmp_path):
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(StoreError, match="gcloud auth application-default login"):
        open_storage("gs://bucket/x").exists("a")
