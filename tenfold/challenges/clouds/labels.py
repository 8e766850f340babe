"""What the catalogue says of an image's masks."""

from typing import Any

from tenfold.challenges.clouds.classes import CLASSES
from tenfold.challenges.clouds.planes import unpack_planes
from tenfold.data.arrays import ByteArray


def columns_of(truth: ByteArray) -> dict[str, Any]:
    """Return each class's presence and share of the pixels, and the classes' names.

    Args:
        truth: (350, 525) bits.
    """
    shares = unpack_planes(truth).mean(axis=(1, 2)).tolist()
    present = {name: share > 0 for name, share in zip(CLASSES, shares, strict=True)}
    return {
        **{name.lower(): there for name, there in present.items()},
        **{
            f"{name.lower()}_share": share
            for name, share in zip(CLASSES, shares, strict=True)
        },
        "classes": " ".join(name for name, there in present.items() if there),
    }
