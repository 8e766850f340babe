"""What a recipe can say of boosted trees, whatever the challenge."""

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tenfold.recipe import Member, Section, Training

#: What of `Training` means something to trees; any other option must be as it is.
_USED = {
    *("epochs", "batch", "learning_rate", "weights", "patience", "validate_every"),
    *("monitor", "checkpoint_minutes", "picture_epochs", "threads"),
}
_Sampled = Annotated[float, Field(gt=0.0, le=1.0)]


class TreesTraining(Training):
    """The rounds of boosting; each adds one tree, and is an epoch in the history.

    Whatever else `Training` has is for networks, and is refused here. With more threads
    than free cores, XGBoost's wait for each other: a round then takes several times as
    long as on one.
    """

    epochs: int = Field(ge=1, description="rounds of boosting")
    batch: int = Field(8, ge=1, description="samples that are predicted at a time")
    learning_rate: float = Field(
        0.3, gt=0, le=1, description="eta, the share of each tree that is added"
    )
    weights: Literal["last", "best"] = Field(
        "last",
        description="best: the rounds up to the best score on the fold being"
        " predicted, and labelled so",
    )
    patience: int | None = Field(None, ge=1, description="rounds without gain")
    validate_every: int = Field(10, ge=1, description="rounds between validations")
    checkpoint_minutes: float = Field(
        5.0, ge=0, description="also when the process is asked to end"
    )


class Trees(Section):
    """How a tree grows; names and defaults are XGBoost's own.

    Rows and columns that are drawn anew for each tree make it cost a little more to
    be killed: a training then goes on from every 20th round only.
    """

    max_depth: int = Field(6, ge=1, le=16, description="splits from root to leaf")
    min_child_weight: float = Field(1.0, ge=0, description="sum of hessians a leaf")
    subsample: _Sampled = Field(1.0, description="share of rows that a tree sees")
    colsample_bytree: _Sampled = Field(
        1.0, description="share of channels that a tree sees"
    )
    scale_pos_weight: float = Field(
        1.0, gt=0, description="weight of positive rows; negative ones weigh 1"
    )

    @property
    def draws(self) -> bool:
        """Whether trees draw rows or columns."""
        return self.subsample < 1 or self.colsample_bytree < 1


class TreesMember(Member):
    """Boosted trees over the rows of a table, e.g. the pixels of tiles."""

    engine: Literal["trees"] = "trees"
    training: TreesTraining
    trees: Trees = Trees()

    @model_validator(mode="after")
    def _only_what_trees_have(self) -> "TreesMember":
        refuse_others(self.training, _USED, "training")
        # Each row is predicted by itself, so views and windows change nothing.
        refuse_others(self.inference, (), "inference")
        return self


def refuse_others(section: Section, used: Collection[str], name: str) -> None:
    """Refuse options that trees would ignore, unless they are at their defaults.

    Args:
        section: of a member of a recipe.
        used: options that mean something to trees.
        name: of the section, in the recipe.

    Raises:
        ValueError: naming every such option.
    """
    ignored = [
        f"{name}.{option}"
        for option, field in type(section).model_fields.items()
        if option not in used
        and getattr(section, option) != field.get_default(call_default_factory=True)
    ]
    if ignored:
        them = "it" if len(ignored) == 1 else "them"
        raise ValueError(
            f"boosted trees do not use {' and '.join(ignored)}; leave {them} out"
        )
