"""Hostile and damaged archives: refused by name, with nothing left behind."""

import gzip
import io
import stat
import tarfile
import warnings
import zipfile
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenfold.data.archives import SUFFIXES, ExtractLimits, extract, is_archive
from tenfold.errors import SourceError

FILES = {"train/a.tif": b"a" * 700, "train/b.tif": b"", "labels.csv": b"id,y\n1,2\n"}
NAME = st.text("ab.", min_size=1, max_size=3).filter(lambda n: n.strip("."))


def write_archive(path, files):
    """Write a zip or tar, by suffix, from (name, bytes) pairs or a mapping."""
    pairs = list(files.items()) if isinstance(files, dict) else files
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            for name, data in pairs:
                opened.writestr(name, data)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as opened:
        for name, data in pairs:
            opened.addfile(tar_member(name, size=len(data)), io.BytesIO(data))
    return path


def tar_member(name, **attributes):
    member = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(member, key, value)
    return member


def contents(directory):
    found = (path for path in directory.rglob("*") if path.is_file())
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in found}


def assert_refused(archive, message, limits=None):
    """The archive is refused and its folder is as it was before."""
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(SourceError, match=message) as caught:
        extract(archive, archive.parent / "out", limits)
    assert archive.name in str(caught.value)
    assert sorted(archive.parent.rglob("*")) == before


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    return tmp_path / f"data{request.param}"


def test_round_trip(path):
    extract(write_archive(path, FILES), path.parent / "out")
    assert contents(path.parent / "out") == FILES
    assert {p.name for p in path.parent.iterdir()} == {path.name, "out"}


@settings(max_examples=20)
@given(
    files=st.dictionaries(
        st.lists(NAME, max_size=2).map(lambda folders: "/".join([*folders, "file"])),
        st.binary(),
        min_size=1,
    ),
    suffix=st.sampled_from(SUFFIXES),
)
def test_any_files_come_back(tmp_path_factory, files, suffix):
    folder = tmp_path_factory.mktemp("any")
    extract(write_archive(folder / f"x{suffix}", files), folder / "out")
    assert contents(folder / "out") == files


def test_leading_dot_and_folders_of_a_usual_tar(tmp_path):
    (tmp_path / "src" / "empty").mkdir(parents=True)
    (tmp_path / "src" / "a.txt").write_bytes(b"a")
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as opened:
        opened.add(tmp_path / "src", ".")
    extract(tmp_path / "x.tgz", tmp_path / "out")
    assert contents(tmp_path / "out") == {"a.txt": b"a"}
    assert (tmp_path / "out" / "empty").is_dir()


def test_folders_of_a_zip(tmp_path):
    write_archive(tmp_path / "x.zip", [("d/", b""), ("d/a", b"1"), ("e/", b"")])
    extract(tmp_path / "x.zip", tmp_path / "out")
    assert contents(tmp_path / "out") == {"d/a": b"1"}
    assert (tmp_path / "out" / "e").is_dir()


def test_gzip_is_known_by_its_content(tmp_path):
    write_archive(tmp_path / "x.tar.gz", FILES).rename(tmp_path / "x.tar")
    extract(tmp_path / "x.tar", tmp_path / "out")
    assert contents(tmp_path / "out") == FILES


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "C:evil", "..\\evil"]
)
def test_names_that_leave_the_folder(path, name):
    write_archive(path, [("ok", b"1"), (name, b"2")])
    assert_refused(path, r"member '.*evil.*': .*(name|outside)")


def test_repeated_names(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns its writer only
        write_archive(path, [("a", b"1"), ("a", b"2")])
    assert_refused(path, "member 'a': the name occurs twice")


def test_same_name_written_differently(path):
    write_archive(path, [("d/a", b"1"), ("d/./a", b"2")])
    assert_refused(path, "the name occurs twice")


def test_file_that_is_also_a_folder(path):
    write_archive(path, [("a", b"1"), ("a/b", b"2")])
    assert_refused(path, "cannot extract")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../x", "inside"])
def test_links_in_a_tar(tmp_path, kind, target):
    with tarfile.open(tmp_path / "x.tar", "w") as opened:
        opened.addfile(tar_member("link", type=kind, linkname=target))
    assert_refused(tmp_path / "x.tar", "member 'link': it is a link")


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_devices_in_a_tar(tmp_path, kind):
    with tarfile.open(tmp_path / "x.tar", "w") as opened:
        opened.addfile(tar_member("dev", type=kind))
    assert_refused(tmp_path / "x.tar", "member 'dev': it is a device")


def test_link_in_a_zip(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    write_archive(tmp_path / "x.zip", [(info, "/etc/passwd")])
    assert_refused(tmp_path / "x.zip", "member 'link': it is a link")


def test_encrypted_zip(tmp_path):
    path = write_archive(tmp_path / "x.zip", {"a": b"1"})
    data = bytearray(path.read_bytes())
    # The flags of the local header and of the directory entry.
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert_refused(path, "member 'a': it is encrypted")


def test_too_many_members(path):
    write_archive(path, [(f"f{i}", b"") for i in range(6)])
    assert_refused(path, "member 'f5': more than 5 members", ExtractLimits(members=5))


def test_too_many_bytes(path):
    write_archive(path, {"a": b"x" * 600, "b": b"x" * 600})
    limits = ExtractLimits(total_bytes=1000)
    assert_refused(path, "member 'b': more than 1,000 bytes", limits)


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_bomb(tmp_path, suffix):
    path = write_archive(tmp_path / f"x{suffix}", {"zeros": bytes(4 << 20)})
    limits = ExtractLimits(ratio=100, ratio_from_bytes=1 << 20)
    assert_refused(path, "member 'zeros': unpacks to more than 100 times", limits)
    extract(path, tmp_path / "out")
    assert (tmp_path / "out" / "zeros").stat().st_size == 4 << 20


def test_header_that_claims_a_gigabyte_is_not_read(tmp_path):
    header = tar_member("x", type=tarfile.XHDTYPE, size=1 << 30).tobuf()
    with gzip.open(tmp_path / "x.tgz", "wb") as file:
        file.write(header + bytes(1 << 20))
    assert_refused(tmp_path / "x.tgz", "a header claims")


def test_every_truncation(path):
    data = write_archive(path, FILES).read_bytes()
    # A tar ends in zero blocks, of which any number may be missing but the first.
    end = len(data.rstrip(b"\0")) if path.suffix == ".tar" else len(data)
    step = max(1, end // 40)
    for length in [0, 1, *range(2, end, step), end - 1]:
        path.write_bytes(data[:length])
        assert_refused(path, "data")


def test_tar_cut_between_members(tmp_path):
    path = write_archive(tmp_path / "x.tar", {"a": b"1" * 512, "b": b"2"})
    path.write_bytes(path.read_bytes()[:1024])
    assert_refused(path, "truncated")


def test_tar_with_garbage_instead_of_a_member(tmp_path):
    path = write_archive(tmp_path / "x.tar", {"a": b"1" * 512, "b": b"2"})
    data = bytearray(path.read_bytes())
    data[1024:1536] = b"?" * 512
    path.write_bytes(data)
    assert_refused(path, "truncated or damaged")


def test_two_tars_in_one_file(tmp_path):
    first = write_archive(tmp_path / "x.tar", {"a": b"1"})
    second = write_archive(tmp_path / "y.tar", {"b": b"1"})
    first.write_bytes(first.read_bytes() + second.read_bytes())
    assert_refused(first, "data after its end")


def test_damaged_member_of_a_zip(tmp_path):
    path = write_archive(tmp_path / "x.zip", [(zipfile.ZipInfo("a"), b"z" * 99)])
    path.write_bytes(path.read_bytes().replace(b"zzz", b"zqz", 1))
    assert_refused(path, "CRC")


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_flipped_bytes_end_well_or_with_a_source_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("flip")
    path = write_archive(folder / f"x{data.draw(st.sampled_from(SUFFIXES))}", FILES)
    broken = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(
            st.integers(1, 255)
        )
    path.write_bytes(broken)
    try:
        extract(path, folder / "out")
    except SourceError:
        assert [p.name for p in folder.iterdir()] == [path.name]
    else:
        assert (folder / "out").is_dir()


def test_empty_archive_and_archive_of_folders(path):
    write_archive(path, {})
    assert_refused(path, "no files in")


def test_other_files_are_no_archives(tmp_path):
    (tmp_path / "x.rar").write_bytes(zlib.compress(b"1"))
    assert_refused(tmp_path / "x.rar", "not one of .zip")
    (tmp_path / "x.zip").write_bytes(b"no zip")
    assert_refused(tmp_path / "x.zip", "not a zip file")
    assert_refused(tmp_path / "missing.zip", "No such file")
    assert is_archive("A.TAR.GZ")
    assert not is_archive("a.gz")


def test_folder_that_is_in_use_is_left_alone(path):
    write_archive(path, FILES)
    (path.parent / "out").mkdir()
    (path.parent / "out" / "mine").write_bytes(b"1")
    assert_refused(path, "cannot extract")
