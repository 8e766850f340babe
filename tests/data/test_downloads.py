"""Files over HTTP, from a real server that breaks off, changes, refuses and lies."""

import contextlib
import datetime
import errno
import hashlib
import logging
import random
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tenfold.data.fetching import https, partial
from tenfold.data.fetching.https import Patience, Remote, download
from tenfold.errors import SourceError
from tests.data.file_server import File, FileServer

DATA = random.Random(7).randbytes(3_000_000)
OTHER = random.Random(8).randbytes(3_000_000)
HALF = len(DATA) // 2
QUICK = Patience(first_wait=0.001, longest_wait=0.002, attempts=4)
SECRET = "s3cr3t-t0ken"  # noqa: S105
SIGNED = "?X-Amz-Signature=s1gned&X-Amz-Expires=86400"


@pytest.fixture
def server():
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def elsewhere():
    """Another host: another port is one, too."""
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "desk" / "data.bin"


def get(server, path, name="/data.bin", size=None, bearer=None, patience=QUICK):
    """Download; return what was told of progress."""
    told = []
    remote = Remote(server.url(name + SIGNED), bearer)
    download(remote, path, size, lambda *now: told.append(now), patience)
    return told


def fails(server, path, message, **more):
    """Download in vain; return the sentence, which never holds what is secret."""
    with pytest.raises(SourceError, match=message) as caught:
        get(server, path, **more)
    sentence = str(caught.value)
    assert "s1gned" not in sentence
    assert SECRET not in sentence
    return sentence


def only(path):
    """The folder holds the file, and nothing that would be continued."""
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    return path.read_bytes()


def stopped(server, path, **of_file):
    """A file of which half arrived, then the user stopped."""
    server.files["/data.bin"] = File(DATA, cuts=[HALF], **of_file)
    fails(server, path, "broke", patience=Patience(attempts=1))
    half = partial.Partial(path).size
    assert 0 < half <= HALF
    server.seen.clear()
    server.sent = 0
    return half


def test_a_file_arrives_whole_and_is_told_of(server, path):
    server.files["/data.bin"] = File(DATA)
    told = get(server, path, size=len(DATA))
    assert only(path) == DATA
    assert told[0] == (0, len(DATA))
    assert told[-1] == (len(DATA), len(DATA))
    assert told == sorted(told)
    assert server.seen[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("data", [b"", b"x"])
def test_small_files_arrive_too(server, path, data):
    server.files["/data.bin"] = File(data)
    get(server, path)
    assert only(path) == data


def test_a_file_of_untold_size_arrives(server, path):
    server.files["/data.bin"] = File(DATA, lengthless=True)
    assert get(server, path)[-1] == (len(DATA), None)
    assert only(path) == DATA


def test_lost_connections_go_on_where_they_broke(server, path):
    server.files["/data.bin"] = File(DATA, cuts=[HALF, 500_000, 10, 0])
    get(server, path)
    assert only(path) == DATA
    assert len(server.seen) == 5
    assert server.sent < len(DATA) + HALF


@pytest.mark.parametrize("of_file", [{}, {"etag": ""}, {"etag": 'W/"weak"'}])
def test_a_later_call_goes_on_where_it_stopped(server, path, of_file):
    half = stopped(server, path, **of_file)
    told = get(server, path)
    assert only(path) == DATA
    assert server.sent == len(DATA) - half
    assert server.ranges() == [f"bytes={half}-"]
    version = of_file.get("etag", "by content") == "by content"
    file = server.files["/data.bin"]
    asked = server.seen[0].headers["If-Range"]
    assert asked == (file.etag if version else file.modified)
    assert told[0] == (half, len(DATA))


def test_a_server_may_send_less_than_was_asked_for(server, path):
    half = stopped(server, path, most=900_000)
    get(server, path)
    assert only(path) == DATA
    assert server.ranges() == [f"bytes={half}-", f"bytes={half + 900_000}-"]


def test_a_server_without_ranges_starts_over(server, path):
    stopped(server, path, ranges=False)
    get(server, path)
    assert only(path) == DATA
    assert server.sent == len(DATA)


def test_bytes_of_no_known_version_are_not_continued(server, path):
    stopped(server, path, etag="", modified="")
    get(server, path)
    assert only(path) == DATA
    assert server.ranges() == [None]


@pytest.mark.parametrize("obeys", [True, False], ids=["If-Range", "no If-Range"])
def test_parts_of_two_versions_are_never_joined(server, path, obeys):
    stopped(server, path)
    server.files["/data.bin"] = File(OTHER, if_range=obeys)
    get(server, path)
    assert only(path) == OTHER


def test_a_file_that_became_shorter_starts_over(server, path):
    half = stopped(server, path, etag='"same"')
    server.files["/data.bin"] = File(DATA[: half - 1], etag='"same"')
    get(server, path)
    assert only(path) == DATA[: half - 1]


def test_only_the_rename_was_missing(server, path):
    server.files["/data.bin"] = File(DATA)
    get(server, path)
    whole = partial.Partial(path)
    path.rename(whole.path)
    whole.path.with_name("data.bin.part.json").write_text(f'{{"bytes": {len(DATA)}}}')
    server.seen.clear()
    get(server, path)
    assert only(path) == DATA
    assert not server.seen


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_in_trouble_is_asked_again(server, path, status):
    server.files["/data.bin"] = File(DATA, statuses=[status] * 3)
    get(server, path)
    assert only(path) == DATA
    assert len(server.seen) == 4


def test_a_service_says_how_long_to_wait(server, path, monkeypatch):
    waits = []
    monkeypatch.setattr(https.time, "sleep", waits.append)
    server.headers["Retry-After"] = "7"
    server.files["/data.bin"] = File(DATA, statuses=[503, 503])
    get(server, path, patience=Patience(first_wait=2, attempts=4))
    assert waits == [7, 7]
    server.headers["Retry-After"] = "1"
    server.files["/data.bin"].statuses = [503, 503, 503]
    waits.clear()
    get(server, path, patience=Patience(first_wait=2, longest_wait=5, attempts=4))
    assert waits == [2, 4, 5]


def test_patience_ends_when_nothing_new_comes(server, path):
    server.files["/data.bin"] = File(DATA, cuts=[HALF] * 9, ranges=False)
    fails(server, path, "connection broke; asked 4 times in vain.*what has arrived")
    assert len(server.seen) == 4


def test_nothing_answers(server, path):
    server.close()
    fails(server, path, r"data\.bin\?….*does not answer; asked 4 times in vain")


@pytest.mark.parametrize(
    ("status", "bearer", "message"),
    [
        (403, None, r"refused \(403\); a signed link ends"),
        (401, SECRET, r"refused \(401\); the token may be wrong"),
        (404, None, r"does not exist \(404\)"),
        (418, None, "answers 418"),
    ],
)
def test_a_refusal_is_final_and_keeps_what_arrived(
    server, path, status, bearer, message
):
    half = stopped(server, path)
    server.files["/data.bin"].statuses = [status]
    fails(server, path, message, bearer=bearer)
    assert len(server.seen) == 1
    assert partial.Partial(path).size == half


def test_a_web_page_is_no_file(server, path):
    server.files["/data.bin"] = File(b"<html>", kind="text/html; charset=utf-8")
    fails(server, path, "is a web page, perhaps one to log in")
    assert not path.exists()


def test_another_size_than_the_list_says_is_another_file(server, path):
    server.files["/data.bin"] = File(DATA)
    fails(server, path, "has 3,000,000 bytes, the list says 5;", size=5)
    assert server.sent <= len(DATA)
    assert not any(path.parent.glob("*"))


def test_a_full_disk_is_found_before_it_is_full(server, path, monkeypatch):
    server.files["/data.bin"] = File(DATA)
    monkeypatch.setattr("tenfold.data.fetching.room.free", lambda _folder: 1000)
    fails(server, path, r"data.bin needs 3.0 MB, and 1.0 kB are free on the disk of")


def test_a_disk_that_fills_up_keeps_what_arrived(server, path):
    server.files["/data.bin"] = File(DATA)
    told = []

    def fill(done, total):
        told.append(total)
        if done > HALF:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(SourceError, match=r"the disk of .*desk is full; free some"):
        download(Remote(server.url("/data.bin")), path, None, fill, QUICK)
    assert partial.Partial(path).size > HALF
    get(server, path)
    assert only(path) == DATA


def test_a_token_goes_to_its_host_alone(server, elsewhere, path):
    elsewhere.files["/real.bin"] = File(DATA)
    server.redirects["/data.bin"] = elsewhere.url("/real.bin")
    get(server, path, bearer=SECRET)
    assert only(path) == DATA
    assert server.seen[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert [seen.headers["Authorization"] for seen in elsewhere.seen] == [None]


def test_another_name_of_a_host_is_another_host(server, path):
    server.files["/real.bin"] = File(DATA)
    server.redirects["/data.bin"] = server.url("/real.bin", host="localhost")
    get(server, path, bearer=SECRET)
    tokens = [seen.headers["Authorization"] for seen in server.seen]
    assert tokens == [f"Bearer {SECRET}", None]


def test_a_token_follows_on_its_own_host(server, path):
    server.files["/real.bin"] = File(DATA)
    server.redirects["/data.bin"] = "/real.bin"
    get(server, path, bearer=SECRET)
    assert server.seen[1].headers["Authorization"] == f"Bearer {SECRET}"


def test_no_password_of_a_netrc_is_sent(server, path, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.files["/data.bin"] = File(DATA)
    get(server, path)
    assert server.seen[0].headers["Authorization"] is None


@pytest.mark.parametrize("where", ["http://example.org/x?a=s1gned", "ftp://x.org/y"])
def test_a_redirect_to_an_open_line_is_refused(server, path, where):
    server.redirects["/data.bin"] = where
    fails(server, path, r"leads elsewhere, and .* is not https")


def test_redirects_in_a_circle_end(server, path):
    server.redirects["/data.bin"] = server.url("/data.bin")
    fails(server, path, "leads on more than 5 times")


def test_nothing_secret_is_logged(server, path, caplog):
    caplog.set_level(logging.DEBUG)
    server.files["/data.bin"] = File(DATA, cuts=[HALF], statuses=[503])
    get(server, path, bearer=SECRET)
    assert "s1gned" not in caplog.text
    assert SECRET not in caplog.text
    assert "s1gned" not in repr(Remote(server.url(SIGNED), SECRET))
    assert SECRET not in repr(Remote(server.url(SIGNED), SECRET))


def test_what_is_kept_holds_nothing_secret(server, path):
    stopped(server, path)
    notes = [each.read_bytes() for each in path.parent.glob("*.json")]
    assert len(notes) == 1
    assert b"s1gned" not in notes[0]
    assert hashlib.sha256(DATA).hexdigest()[:16].encode() in notes[0]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of this machine that nobody vouches for, and a server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(built.public_bytes(pem) + key.private_bytes(pem, *plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return file, context


@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_is_looked_at(certificate, path, monkeypatch, trusted):
    file, context = certificate
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    else:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with contextlib.closing(FileServer(context)) as server:
        server.files["/data.bin"] = File(DATA, cuts=[HALF])
        remote = Remote(server.url("/data.bin", host="localhost"))
        if trusted:
            download(remote, path, None, lambda *_: None, QUICK)
            assert only(path) == DATA
        else:
            with pytest.raises(SourceError, match="cannot be trusted: its certificate"):
                download(remote, path, None, lambda *_: None, QUICK)
            assert not server.seen


def test_a_redirect_from_https_stays_so(certificate, server, path, monkeypatch):
    file, context = certificate
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    with contextlib.closing(FileServer(context)) as safe:
        safe.redirects["/data.bin"] = server.url("/data.bin")
        remote = Remote(safe.url("/data.bin", host="localhost"))
        with pytest.raises(SourceError, match=r"leads elsewhere, and .* is not https"):
            download(remote, path, None, lambda *_: None, QUICK)
    assert not server.seen
