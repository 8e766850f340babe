"""What a challenge's data consist of: its `downloads.yaml`, validated."""

from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated

import yaml
from pydantic import AfterValidator, Field, model_validator

from tenfold.data.fetching.addresses import checked
from tenfold.errors import SourceError
from tenfold.recipe import Section, validate

FILE = "downloads.yaml"


def _inside(path: str) -> str:
    parts = path.split("/")
    if path != "." and any(part.startswith(".") or not part for part in parts):
        raise ValueError(f"{path!r} is not a relative path such as train/images")
    return path


Address = Annotated[str, AfterValidator(checked)]
Inside = Annotated[str, AfterValidator(_inside)]


class KaggleSet(Section):
    """A competition or data set that Kaggle hosts, or one file of it."""

    competition: str | None = Field(
        None, pattern=r"^[\w-]+$", description="name in its address"
    )
    dataset: str | None = Field(
        None, pattern=r"^[\w-]+/[\w-]+(/\d+)?$", description="owner/name, or …/version"
    )
    file: Inside | None = Field(None, description="none: all of it, as one archive")

    @model_validator(mode="after")
    def _one(self) -> "KaggleSet":
        if (self.competition is None) == (self.dataset is None):
            raise ValueError("name a competition or a dataset, one of them")
        return self

    @property
    def page(self) -> str:
        """Where a person finds it."""
        if self.competition is not None:
            return f"https://www.kaggle.com/competitions/{self.competition}"
        owner, name, *_ = str(self.dataset).split("/")
        return f"https://www.kaggle.com/datasets/{owner}/{name}"


class Download(Section):
    """One file of a challenge's data.

    Without `url` and `kaggle` its address is the user's to bring (`--links`).
    """

    name: str = Field(pattern=r"^[\w][\w.-]{0,99}$", description="what messages say")
    url: Address | None = Field(None, description="where anyone, or a token, gets it")
    token: bool = Field(False, description="whether that place asks for a token")
    kaggle: KaggleSet | None = None
    links: tuple[str, ...] = Field(
        (), description="patterns of the names that a user's links have"
    )
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    md5: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    size: int | None = Field(None, ge=0, description="bytes")
    unpack: bool = Field(False, description="whether it is a zip, tar or tar.gz")
    target: Inside = Field(
        description="where it goes: a file, or the folder of what it unpacks to; '.' is"
        " the folder of all"
    )
    optional: bool = Field(False, description="whether ingest can do without it")

    @model_validator(mode="after")
    def _consistent(self) -> "Download":
        if self.url is not None and self.kaggle is not None:
            raise ValueError(f"{self.name} is from url or from kaggle, not both")
        if self.token and self.url is None:
            raise ValueError(f"{self.name}: a token is for a url")
        if self.target == "." and not self.unpack:
            raise ValueError(f"{self.name}: its target is the name of a file")
        return self

    def is_called(self, link: str) -> bool:
        """Tell whether a link's name means this file."""
        return link == self.name or any(fnmatchcase(link, p) for p in self.links)


class DownloadList(Section):
    """All files of a challenge's data, in the order in which they are fetched."""

    about: str = Field(description="whose data they are, in a line")
    page: Address = Field(description="where a person finds them")
    files: tuple[Download, ...]

    @model_validator(mode="after")
    def _apart(self) -> "DownloadList":
        names = [file.name for file in self.files]
        if not names or len(set(names)) != len(names):
            raise ValueError("files need distinct names, and there is at least one")
        targets = [PurePosixPath(file.target) for file in self.files]
        for target in targets:
            if str(target) != "." and (
                targets.count(target) > 1 or set(target.parents[:-1]) & set(targets)
            ):
                raise ValueError(f"two files go to {target}, or one into another's")
        return self


def load_list(challenge: str, folder: Path) -> DownloadList:
    """Read the list of a challenge.

    Args:
        challenge: its name, for messages.
        folder: of the challenge.

    Raises:
        SourceError: it has none.
        RecipeError: the list is malformed, naming each bad key or value.
    """
    path = folder / FILE
    if not path.is_file():
        raise SourceError(
            f"{challenge} has no list of files to fetch ({FILE} in its folder); put"
            " its data into a folder by hand and name that as --source"
        )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise SourceError(f"cannot read {path}: {error}") from None
    if not isinstance(raw, dict):
        raise SourceError(f"{path} is not a mapping of about, page and files")
    return validate(DownloadList, raw, f"{challenge}/{FILE}")
