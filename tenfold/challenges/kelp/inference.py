"""What a trained member says of whole tiles: by views, by windows."""

from torch import Tensor

from tenfold.recipe import Inference
from tenfold.training.views import See, mean_over_views, views_of
from tenfold.training.windows import blend


def probabilities(see: See, channels: Tensor, options: Inference) -> Tensor:
    """Return the probability of kelp as the recipe wants tiles to be seen.

    Every window is seen in every view, and both are means of probabilities.

    Args:
        see: channels (N, C, h, w) to probabilities (N, h, w), as the network says.
        channels: of whole tiles, (N, C, H, W).
        options: views, windows and their overlap.

    Returns:
        (N, H, W) float32; the bits of `see(channels)` where no more is asked for.
    """
    views = views_of(options.tta)

    def window(part: Tensor) -> Tensor:
        return mean_over_views(see, part, views)

    return blend(window, channels, options.window, options.overlap)
