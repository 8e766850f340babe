"""Objects of Google Cloud Storage, through Google's own client.

Who one is comes from the application default credentials. With
`STORAGE_EMULATOR_HOST` set, an emulator is asked instead, without credentials.
"""

import base64
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPICallError,
    NotFound,
    RetryError,
    Unauthorized,
)
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.storage import Blob, Client, transfer_manager
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY
from requests import ConnectionError as NoConnectionError
from requests.adapters import HTTPAdapter

from tenfold.data.storage import (
    CONNECTIONS,
    DAMAGED,
    MISSING,
    FileStamp,
    ObjectStorage,
)

_FIELDS = "items(name,size,md5Hash,crc32c),nextPageToken"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class CloudStorage(ObjectStorage):
    """Objects below gs://bucket/prefix.

    A request that fails in passing (overload, a lost connection) is made again,
    after waits that double. That holds for writes too, and without conditions on
    what was there: a write puts a whole object under its name, so doing it twice
    does no more than doing it once.

    Attributes:
        first_wait: before the second attempt, at most, in seconds.
        longest_wait: between later attempts.
        give_up: seconds after which a failure is final.
    """

    first_wait: float = 1.0
    longest_wait: float = 32.0
    give_up: float = 180.0

    @property
    def _retry(self) -> Retry:
        retry: Retry = DEFAULT_RETRY.with_delay(self.first_wait, self.longest_wait)
        return retry.with_timeout(self.give_up)

    @property
    def _client(self) -> Client:
        return _client(os.getpid(), os.environ.get("STORAGE_EMULATOR_HOST"))

    def _blob(self, name: str, piece: int | None = None) -> Blob:
        return self._client.bucket(self.bucket).blob(self._key(name), chunk_size=piece)

    def _read(self, name: str) -> bytes:
        data = self._blob(name).download_as_bytes(checksum="crc32c", retry=self._retry)
        return bytes(data)

    def _write(self, name: str, data: bytes) -> None:
        self._blob(name, self.part).upload_from_string(
            data,
            content_type="application/octet-stream",
            checksum="crc32c",
            crc32c_checksum_value=_text(google_crc32c.value(data)),
            retry=self._retry,
        )

    def _upload(self, local: Path, name: str) -> None:
        # One resumable stream, of which a failed piece alone is sent again. Parts side
        # by side are another API, with a permission of its own, and what a killed task
        # leaves of them is billed until somebody looks. The service is told the
        # checksum first: it refuses what was damaged and keeps an older object.
        self._blob(name, self.part).upload_from_filename(
            str(local),
            checksum="crc32c",
            crc32c_checksum_value=_crc32c(local),
            retry=self._retry,
        )

    def _download(self, name: str, temporary: Path) -> None:
        blob = self._look(self._key(name))
        if blob is None:
            raise FileNotFoundError
        # It compares the CRC32C of all parts together with the object's.
        transfer_manager.download_chunks_concurrently(
            blob,
            str(temporary),
            chunk_size=self.part,
            download_kwargs={"retry": self._retry},
            worker_type=transfer_manager.THREAD,
            max_workers=self.threads,
        )

    def _delete(self, name: str) -> None:
        try:
            self._blob(name).delete(retry=self._retry)
        except NotFound:
            self._require_bucket()

    def _find(self, key: str) -> FileStamp | None:
        blob = self._look(key)
        return None if blob is None else _stamp(blob)

    def _look(self, key: str) -> Blob | None:
        return self._client.bucket(self.bucket).get_blob(key, retry=self._retry)

    def _list(self, prefix: str) -> Iterator[FileStamp]:
        found = self._client.list_blobs(
            self.bucket, prefix=prefix, fields=_FIELDS, retry=self._retry
        )
        return map(_stamp, found)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, RetryError) and isinstance(error.cause, Exception):
            return f"{self._reason(error.cause)} (tried for {self.give_up:.0f} s)"
        if isinstance(error, NotFound):
            return MISSING
        if isinstance(error, DataCorruption):
            return DAMAGED
        if isinstance(error, NoConnectionError | TransportError):
            return (
                f"nothing answers at {self._client.api_endpoint}; check the network"
                " and STORAGE_EMULATOR_HOST, which is for tests only"
            )
        if isinstance(error, Forbidden | Unauthorized | GoogleAuthError):
            return (
                f"access denied ({_said(error)}); check the permissions and who you"
                " are: gcloud auth application-default login"
            )
        if isinstance(error, GoogleAPICallError):
            return _said(error)
        return super()._reason(error)


@functools.cache
def _client(_process: int, _emulator: str | None) -> Client:
    """Return the client of a process; a connection does not survive a fork."""
    # It would look up every bucket in the background, for traces that nobody keeps and
    # with a permission that a task need not have.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    client = Client(project=None)
    # Otherwise ten connections are kept, and all others made anew each time.
    for scheme in ("https://", "http://"):
        client._http.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
    return client


def _stamp(blob: Blob) -> FileStamp:
    # Objects composed of others have no MD5.
    kind, value = ("md5", blob.md5_hash) if blob.md5_hash else ("crc32c", blob.crc32c)
    return FileStamp(blob.name, int(blob.size), f"{kind}:{value}")


def _crc32c(path: Path) -> str:
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = google_crc32c.extend(value, block)
    return _text(value)


def _text(crc32c: int) -> str:
    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()


def _said(error: Exception) -> str:
    """Return what the service said, which a client puts behind method and address."""
    errors = getattr(error, "errors", None)
    said = errors[0].get("message") if errors else None
    return str(said or error)
