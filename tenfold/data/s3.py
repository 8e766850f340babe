"""Objects of S3, and of the many stores that speak its language.

Address and credentials come from where every S3 tool looks: `AWS_ENDPOINT_URL`,
`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, the AWS configuration files, or the role
of the machine.
"""

import base64
import functools
import hashlib
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
)
from botocore.exceptions import (
    ConnectionError as NoConnectionError,
)

from tenfold.data.files import sha256_of
from tenfold.data.storage import (
    CONNECTIONS,
    DAMAGED,
    MISSING,
    FileStamp,
    ObjectStorage,
)

#: The object's own metadata hold its checksum, since not every server keeps one.
_SHA256 = "sha256"
_MD5 = re.compile(r"[0-9a-f]{32}")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class S3Storage(ObjectStorage):
    """Objects below s3://bucket/prefix.

    The client repeats what fails in passing, after waits that double up to 20 s. A
    write puts a whole object under its name, so doing it twice does no harm.

    Attributes:
        attempts: tries of a request before its failure is final.
    """

    attempts: int = 12

    @property
    def _client(self) -> Any:
        names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        endpoints = tuple(os.environ.get(name) for name in names)
        return _client(os.getpid(), endpoints, self.attempts)

    @property
    def _config(self) -> TransferConfig:
        return TransferConfig(
            multipart_threshold=self.part,
            multipart_chunksize=self.part,
            max_concurrency=self.threads,
        )

    def _read(self, name: str) -> bytes:
        try:
            return self._read_once(name)
        except (OSError, ResponseStreamingError, IncompleteReadError):
            # It was cut off or damaged on the way, which may pass.
            return self._read_once(name)

    def _read_once(self, name: str) -> bytes:
        # One request: of two, others may write the object anew between them.
        reply = self._client.get_object(**self._place(name))
        data = io.BytesIO(reply["Body"].read())
        _verify(data, reply)
        return data.getvalue()

    def _write(self, name: str, data: bytes) -> None:
        self._client.put_object(
            **self._place(name),
            Body=data,
            Metadata={_SHA256: hashlib.sha256(data).hexdigest()},
        )

    def _upload(self, local: Path, name: str) -> None:
        self._client.upload_file(
            str(local),
            *self._place(name).values(),
            ExtraArgs={"Metadata": {_SHA256: sha256_of(local)}},
            Config=self._config,
        )

    def _download(self, name: str, temporary: Path) -> None:
        place = self._place(name)
        head = self._client.head_object(**place)
        self._client.download_file(*place.values(), str(temporary), Config=self._config)
        with temporary.open("rb") as file:
            _verify(file, head)

    def _delete(self, name: str) -> None:
        self._client.delete_object(**self._place(name))

    def _find(self, key: str) -> FileStamp | None:
        try:
            head = self._client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if _status(error) == 404:
                return None
            raise
        return FileStamp(key, head["ContentLength"], f"etag:{head['ETag']}")

    def _list(self, prefix: str) -> Iterator[FileStamp]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                yield FileStamp(item["Key"], item["Size"], f"etag:{item['ETag']}")

    def _place(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._key(name)}

    def _reason(self, error: Exception) -> str:
        if isinstance(error, RetriesExceededError):
            return self._reason(error.last_exception)
        if isinstance(error, S3UploadFailedError) and isinstance(
            error.__context__, Exception
        ):
            return self._reason(error.__context__)
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            return (
                "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
                " run where a role gives them"
            )
        if isinstance(error, NoConnectionError | HTTPClientError):
            return (
                f"nothing answers at {self._client.meta.endpoint_url}; check the"
                " network and AWS_ENDPOINT_URL"
            )
        if not isinstance(error, ClientError):
            return super()._reason(error)
        if _status(error) == 404:
            return MISSING
        if _status(error) in (401, 403):
            return (
                f"access denied ({error}); check the permissions and whose"
                " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY these are"
            )
        return str(error)


@functools.cache
def _client(_process: int, _endpoints: tuple[str | None, ...], attempts: int) -> Any:
    """Return the client of a process; a connection does not survive a fork.

    With an endpoint of one's own, the client puts the bucket into the path.
    """
    config = Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=CONNECTIONS,
        # Servers that do not know the newer checksums may take them for content.
        request_checksum_calculation="when_required",
    )
    client = Session().client("s3", config=config)
    for operation in ("PutObject", "UploadPart"):
        client.meta.events.register(f"before-call.s3.{operation}", _add_md5)
    return client


def _add_md5(params: dict[str, Any], **_: Any) -> None:
    """Let the server refuse what was damaged on the way: this header all know."""
    body = params["body"]
    file = io.BytesIO(body) if isinstance(body, bytes | bytearray) else body
    digest = _digest(file, hashlib.md5(usedforsecurity=False))
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()


def _verify(file: Any, head: Mapping[str, Any]) -> None:
    """Compare what arrived with what the store says of the object.

    Of an object that another tool uploaded in parts only the size is known.

    Raises:
        OSError: it differs.
    """
    if file.seek(0, io.SEEK_END) != head["ContentLength"]:
        raise OSError(DAMAGED)
    etag = head["ETag"].strip('"')
    if _SHA256 in head["Metadata"]:
        expected, digest = head["Metadata"][_SHA256], hashlib.sha256()
    elif _MD5.fullmatch(etag) and not _is_enciphered(head):
        expected, digest = etag, hashlib.md5(usedforsecurity=False)
    else:
        return
    file.seek(0)
    if _digest(file, digest).hex() != expected:
        raise OSError(DAMAGED)


def _is_enciphered(head: Mapping[str, Any]) -> bool:
    """Tell whether a key of its owner makes the ETag something else than an MD5."""
    return "SSECustomerAlgorithm" in head or head.get("ServerSideEncryption") not in (
        None,
        "AES256",
    )


def _digest(file: Any, digest: Any) -> bytes:
    start = file.tell()
    while block := file.read(_BLOCK):
        digest.update(block)
    file.seek(start)
    return bytes(digest.digest())


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
