"""Lists of files, the user's links and tokens, and what comes of them together."""

import stat

import pytest
import yaml

from tenfold.challenges import FOLDER
from tenfold.data.fetching.addresses import (
    checked,
    find_token,
    is_signed,
    read_links,
    shown,
)
from tenfold.data.fetching.listing import load_list
from tenfold.data.fetching.orders import orders_of, require_means, require_space
from tenfold.data.fetching.shelf import Shelf
from tenfold.errors import RecipeError, SourceError

GOOD = {
    "about": "a set",
    "page": "https://example.org/data",
    "files": [
        {"name": "tiles", "links": ["tiles*"], "unpack": True, "target": "train"},
        {"name": "table", "url": "https://example.org/t.csv", "target": "t.csv"},
    ],
}


def listed(tmp_path, **changes):
    (tmp_path / "downloads.yaml").write_text(yaml.safe_dump(GOOD | changes))
    return load_list("toy", tmp_path)


@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*/downloads.yaml")), ids=lambda p: p.parts[-2]
)
def test_every_challenges_list_is_valid(path):
    load_list(path.parent.name, path.parent)


def test_a_challenge_without_a_list_says_so(tmp_path):
    with pytest.raises(SourceError, match=r"toy has no list of files.*as --source"):
        load_list("toy", tmp_path)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ({"ulr": "https://x.org"}, "unknown key 'files.0.ulr', did you mean 'url'"),
        ({"url": "http://x.org/a"}, "http://x.org/a is not https"),
        ({"url": "https://me:pw@x.org/a"}, "https://x.org/a holds a password"),
        ({"url": "x.org/a"}, "it is no address"),
        ({"target": "../up"}, "'../up' is not a relative path"),
        ({"target": "/abs"}, "'/abs' is not a relative path"),
        ({"target": "a/.b"}, "'a/.b' is not a relative path"),
        ({"target": "."}, "its target is the name of a file"),
        ({"sha256": "abc"}, "files.0.sha256"),
        ({"token": True}, "a token is for a url"),
        ({"kaggle": {}}, "name a competition or a dataset"),
        ({"kaggle": {"dataset": "nameless"}}, "files.0.kaggle.dataset"),
        (
            {"kaggle": {"competition": "x"}, "url": "https://x.org/a"},
            "from url or from kaggle, not both",
        ),
    ],
)
def test_lists_that_are_wrong_name_what_is(tmp_path, file, message):
    with pytest.raises((RecipeError, SourceError)) as caught:
        listed(tmp_path, files=[{"name": "x", "target": "x"} | file])
    assert str(caught.value).startswith("toy/downloads.yaml: ")
    assert message in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "targets", [["a", "a"], ["a", "a/b"]], ids=["one place", "one in another"]
)
def test_files_do_not_get_into_each_others_way(tmp_path, targets):
    files = [
        {"name": f"f{n}", "target": target, "unpack": True}
        for n, target in enumerate(targets)
    ]
    with pytest.raises(RecipeError, match="two files go to"):
        listed(tmp_path, files=files)


def test_addresses_are_shown_without_what_is_secret():
    url = "https://me:pw@x.org:8443/a/b.gz?X-Amz-Signature=s1#frag"
    assert shown(url) == "https://x.org:8443/a/b.gz?…"
    assert shown("https://x.org/a") == "https://x.org/a"


@pytest.mark.parametrize(
    ("query", "signed"),
    [
        ("X-Amz-Signature=1&X-Amz-Expires=9", True),
        ("x-goog-signature=1", True),
        ("AWSAccessKeyId=1&Signature=2", True),
        ("sv=1&sig=", True),
        ("download=1", False),
        ("", False),
    ],
)
def test_signed_links_are_known(query, signed):
    assert is_signed(f"https://x.org/a?{query}") is signed


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:8080"])
def test_this_machine_needs_no_encryption(host):
    assert checked(f"http://{host}/a") == f"http://{host}/a"


def test_links_have_names_of_their_own_or_given_ones(tmp_path):
    file = tmp_path / "links.txt"
    text = (
        "# mine\r\n\r\nhttps://x.org/p/tiles_a%20b.gz?s=1\r\n  train https://x.org/q  "
    )
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = [(link.name, link.given, link.url) for link in read_links(file)]
    assert found == [
        ("tiles_a b.gz", False, "https://x.org/p/tiles_a%20b.gz?s=1"),
        ("train", True, "https://x.org/q"),
    ]
    assert "s=1" not in repr(read_links(file))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("http://x.org/a?s1gned", "http://x.org/a?… is not https"),
        ("https://u:s1gned@x.org/a", "https://x.org/a holds a password"),
        ("just words s1gned", "it is no address"),
        ("a b https://x.org/s1gned", "it has more than a name and an address"),
        ("https://[x/s1gned", "Invalid IPv6 URL"),
    ],
)
def test_lines_that_are_no_links_are_named_not_shown(tmp_path, line, message):
    file = tmp_path / "links.txt"
    file.write_text(f"https://x.org/fine\n{line}\n")
    with pytest.raises(SourceError) as caught:
        read_links(file)
    assert f"links.txt, line 2: {message}" in str(caught.value)
    assert "s1gned" not in str(caught.value)


def test_a_file_of_links_that_is_missing(tmp_path):
    with pytest.raises(SourceError, match=r"cannot read the links in .*No such file"):
        read_links(tmp_path / "none.txt")


def test_a_token_is_of_the_file_or_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("TENFOLD_FETCH_TOKEN", raising=False)
    assert find_token(None) is None
    monkeypatch.setenv("TENFOLD_FETCH_TOKEN", "of-env")
    assert find_token(None) == "of-env"
    file = tmp_path / "token"
    file.write_text("of-file\n")
    file.chmod(0o600)
    assert find_token(file) == "of-file"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_token_that_others_may_read_is_refused(tmp_path, mode):
    file = tmp_path / "token"
    file.write_text("t0ken")
    file.chmod(mode)
    with pytest.raises(
        SourceError, match=rf"others may read .*: chmod 600 {file}"
    ) as e:
        find_token(file)
    assert "t0ken" not in str(e.value)
    assert stat.S_IMODE(file.stat().st_mode) == mode


@pytest.mark.parametrize("text", ["", "two w0rds", "line\nw0rds", "w0rds\x7f"])
def test_what_is_no_token_is_not_shown(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(SourceError, match=r"token holds no token: one word") as caught:
        find_token(file)
    assert "w0rds" not in str(caught.value)


def links(tmp_path, text):
    (tmp_path / "links.txt").write_text(text)
    return read_links(tmp_path / "links.txt")


def test_links_find_their_files_and_the_list_does_the_rest(tmp_path):
    given = links(tmp_path, "https://x.org/tiles_7.gz?Signature=1\n")
    tiles, table = orders_of(listed(tmp_path), given, True)
    assert tiles.origin == "https://x.org/tiles_7.gz?…"
    assert table.origin == "https://example.org/t.csv"
    assert not tiles.takes_token
    assert not table.takes_token


def test_a_token_goes_to_the_users_unsigned_links_and_where_the_list_says(tmp_path):
    text = "tiles https://x.org/a\ntable https://x.org/b?Signature=1\n"
    orders = orders_of(listed(tmp_path), links(tmp_path, text), True)
    assert [order.takes_token for order in orders] == [True, False]
    file = {"name": "x", "target": "x", "url": "https://x.org/a", "token": True}
    listing = listed(tmp_path, files=[file])
    (closed,) = orders_of(listing, (), False)
    assert closed.origin == "https://x.org/a with your token"
    with pytest.raises(SourceError, match="set TENFOLD_FETCH_TOKEN or give --token-f"):
        require_means("toy", listing, [closed], False)
    require_means("toy", listing, [closed], True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://x.org/other.gz", r"line 1: 'other.gz' is none of .*\(tiles, table\)"),
        ("tiles7 https://x.org/a", r"line 1: 'tiles7' is none of the files"),
        ("https://x.org/tiles1\nhttps://x.org/tiles2", "line 2: .*line 1 is for tiles"),
    ],
)
def test_links_that_fit_no_file_or_one_that_has_a_link(tmp_path, text, message):
    with pytest.raises(SourceError, match=message):
        orders_of(listed(tmp_path), links(tmp_path, text), False)


def test_files_that_nobody_has_a_link_for_are_named(tmp_path):
    listing = listed(tmp_path)
    with pytest.raises(
        SourceError, match=r"toy: no link for tiles; log in at https://e"
    ):
        require_means("toy", listing, orders_of(listing, (), False), False)


def test_room_is_asked_for_before_anything_is_sent(tmp_path, monkeypatch):
    shelf = Shelf(tmp_path)
    monkeypatch.setattr("tenfold.data.fetching.room.free", lambda _folder: 2999)
    files = [
        {"name": "a", "url": "https://x.org/a", "size": 1000, "target": "a"},
        {"name": "b", "url": "https://x.org/b", "size": 1000, "target": "b"},
    ]
    orders = orders_of(listed(tmp_path, files=files), (), False)
    require_space(orders, shelf)
    files[1]["unpack"] = True
    orders = orders_of(listed(tmp_path, files=files), (), False)
    with pytest.raises(
        SourceError, match=r"the fetch needs 3.0 kB, and 3.0 kB are free"
    ):
        require_space(orders, shelf)
