"""Statistics of packed channels, and the columns that are drawn."""

import numpy as np
import pytest

from tenfold.challenges.contrails import exploring
from tenfold.data.statistics import StatisticsSum
from tenfold.errors import StoreError
from tests.challenges.contrails.out_of_fold import recipe_with


def total_of(arrays, channels):
    total = StatisticsSum(channels)
    found = exploring.partials(arrays, channels)
    fields = {name: value[None] for name, value in vars(found).items()}
    total.add(type(found)(**fields), [0])
    return found, total.result()


@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
def test_every_channel_is_measured_over_all_frames(dtype):
    rng = np.random.default_rng(2)
    values = rng.integers(0, 256, (4, 9, 7, 3))
    image = values.astype(np.uint8) if dtype == np.uint8 else (values / 255)
    arrays = {"image": image.astype(dtype)}
    channels = exploring.channels(recipe_with(), every=False)
    assert channels.names == ("channel 1", "channel 2", "channel 3")
    assert exploring.channels(recipe_with(), every=True) == channels
    partials, found = total_of(arrays, channels)
    assert partials.count.tolist() == [4 * 9 * 7] * 3
    assert exploring.pixels(arrays) == 4 * 9 * 7
    for place, name in enumerate(channels.names):
        channel = values[..., place] / 255
        assert found.mean[name] == pytest.approx(channel.mean(), abs=2e-4)
        assert found.std[name] == pytest.approx(channel.std(), abs=2e-4)
        assert found.low[name] == pytest.approx(channel.min(), abs=2e-4)
        assert found.high[name] == pytest.approx(channel.max(), abs=2e-4)
        # Quantiles are as fine as a bin, of which there are 1024.
        for quantile, level in ((found.q01, 0.01), (found.q99, 0.99)):
            expected = np.quantile(channel, level)
            assert quantile[name] == pytest.approx(expected, abs=0.006)


def test_a_data_set_of_fewer_channels_is_not_what_was_meant():
    arrays = {"image": np.zeros((1, 4, 4, 2), np.uint8)}
    channels = exploring.channels(recipe_with(), every=False)
    with pytest.raises(StoreError, match="with 2 channels, without channel 3; name"):
        exploring.partials(arrays, channels)


def test_columns_that_are_drawn_are_the_catalogues():
    assert set(exploring.COLUMNS) == {
        *("pixels", "contrail", "annotators", "agreement"),
        *("timestamp", "longitude", "latitude"),
    }
