"""What only S3 does; what it shares is in test_storage."""

import base64
import hashlib
import io
import os

import boto3
import pytest

from tenfold.data import s3 as s3_module
from tenfold.data.storage import open_storage
from tenfold.errors import StoreError


@pytest.fixture
def large(tmp_path, s3):
    (tmp_path / "large").write_bytes(os.urandom(2 * s3.storage.part + 1))
    return tmp_path / "large"


def test_every_part_of_an_upload_bears_its_checksum(s3, large):
    s3.storage.upload(large, "a")
    s3.storage.write_bytes("b", b"1")
    sent = s3.proxy.asked("PUT")
    assert len(sent) == 4
    for seen in sent:
        digest = hashlib.md5(seen.body, usedforsecurity=False).digest()
        assert seen.headers["Content-MD5"] == base64.b64encode(digest).decode()


def test_no_server_is_sent_what_only_the_newest_understand(s3, large):
    s3.storage.upload(large, "a")
    s3.storage.write_bytes("b", b"1")
    for seen in s3.proxy.asked("PUT"):
        assert "aws-chunked" not in seen.headers.get("Content-Encoding", "")
        assert "x-amz-trailer" not in seen.headers


def test_an_upload_that_failed_leaves_no_parts_behind(s3, large):
    s3.proxy.during(403, when=lambda seen: "partNumber=2" in seen.path)
    with pytest.raises(StoreError, match="denied"):
        s3.storage.upload(large, "a")
    place = {"Bucket": s3.storage.bucket}
    assert "Uploads" not in s3.storage._client.list_multipart_uploads(**place)
    assert not s3.storage.exists("a")


def test_at_an_endpoint_of_ones_own_the_bucket_is_in_the_path(s3, monkeypatch):
    named = s3.proxy.address.replace("127.0.0.1", "localhost")
    monkeypatch.setenv("AWS_ENDPOINT_URL", named)
    s3.storage.write_bytes("a", b"1")
    assert s3.proxy.seen[0].path == f"/{s3.storage.bucket}/a"


def put(s3, data, **options):
    """Make an object as another tool would, without this project's metadata."""
    client, bucket = s3.storage._client, s3.storage.bucket
    client.upload_fileobj(io.BytesIO(data), bucket, "a", **options)


def test_objects_of_other_tools_are_compared_with_their_etag(s3, tmp_path):
    put(s3, b"right")
    s3.storage.download("a", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"right"
    s3.proxy.during("damage reply", when=lambda seen: seen.method == "GET")
    with pytest.raises(StoreError, match="differs from the checksum"):
        s3.storage.download("a", tmp_path / "copy")


def test_objects_of_other_tools_may_have_been_uploaded_in_parts(s3, tmp_path):
    data = os.urandom(11 << 20)
    put(s3, data, Config=s3.storage._config)
    s3.storage.download("a", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data


def test_an_etag_is_no_checksum_where_a_key_enciphers_the_object():
    head = {"ContentLength": 5, "ETag": f'"{"0" * 32}"', "Metadata": {}}
    with pytest.raises(OSError, match="differs"):
        s3_module._verify(io.BytesIO(b"right"), head)
    s3_module._verify(io.BytesIO(b"right"), head | {"ServerSideEncryption": "aws:kms"})
    with pytest.raises(OSError, match="differs"):
        s3_module._verify(
            io.BytesIO(b"rig"), head | {"ServerSideEncryption": "aws:kms"}
        )


def test_without_credentials_the_cure_is_told(s3, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="no credentials; set AWS_ACCESS_KEY_ID"):
        open_storage(s3.uri).exists("a")


def test_an_object_that_others_rewrite_is_read_whole(s3, s3_server):
    """Before each request of the reader arrives, another task writes it anew."""
    other = boto3.client("s3", endpoint_url=s3_server)
    written = []

    def rewrite(seen):
        if seen.method in ("GET", "HEAD"):
            data = b"new" * (len(written) + 1)
            place = {"Bucket": s3.storage.bucket, "Key": s3.storage._key("a")}
            metadata = {"sha256": hashlib.sha256(data).hexdigest()}
            other.put_object(**place, Body=data, Metadata=metadata)
            written.append(data)
        return False

    s3.storage.write_bytes("a", b"first")
    s3.proxy.during(503, when=rewrite)
    assert s3.storage.read_bytes("a") == written[-1]


def test_a_read_that_was_damaged_or_cut_off_once_is_done_again(s3):
    s3.storage.write_bytes("a", b"right")
    for fault in ("damage reply", "hang up"):
        s3.proxy.during(fault, times=1, when=lambda seen: seen.method == "GET")
        assert s3.storage.read_bytes("a") == b"right"
