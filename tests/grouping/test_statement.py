"""What may be said of folds: exact searches prove, the others say what they lack."""

import numpy as np
import pytest

from tenfold.grouping.search import Recall, Similar
from tenfold.grouping.statement import (
    claim,
    claims,
    is_complete,
    leak,
    method,
    of_embeddings,
    of_footprints,
    of_overlaps,
)
from tenfold.recipe import EmbeddingSearch, FootprintSearch, OverlapSearch

OPTIONS = EmbeddingSearch(enabled=True, threshold=0.97, network="net", probes=3)


def searched(recall=None, blank=0, options=OPTIONS):
    index = "exact" if recall is None else "approximate"
    found = Similar(np.zeros((5, 2), np.int64), np.ones(5), index, recall)
    return of_embeddings(options, 200, blank, found)


def test_only_a_search_of_every_pair_is_complete():
    missing_nothing = Recall(100, 0, 50, 50, 80, 80)
    assert is_complete(searched())
    assert not is_complete(searched(missing_nothing))
    assert not is_complete(of_overlaps(OverlapSearch(), 200, 5, 0))


def test_the_exact_claim_is_of_the_threshold_alone():
    said = "No pair of samples with a cosine similarity of at least 0.97 crosses folds."
    assert claim(searched()) == said
    assert claim(searched(blank=7)).startswith(said)
    assert "7 samples whose picture is of one colour took no part" in claim(
        searched(blank=7)
    )
    assert "All 193 samples were compared with each other" in method(searched(blank=7))


def test_thumbnails_are_called_so_and_no_network_is_named():
    options = EmbeddingSearch(enabled=True, threshold=0.98, network="thumbnail")
    words = method(searched(blank=7, options=options))
    assert words.startswith(
        "Look-alikes: a correlation of at least 0.98 between grey thumbnails of 16 × 24"
        " pixels. Thumbnails find copies"
    )
    assert "7 samples whose thumbnail is of one shade took no part." in words
    assert "All 193 samples were compared with each other." in words
    assert claim(searched(options=options)) == (
        "No pair of samples with thumbnails that correlate by at least 0.98 crosses"
        " folds."
    )
    recall = Recall(1000, 4, 400, 380, 900, 850)
    assert "thumbnails that correlate by at least 0.98 crosses folds. The search" in (
        claim(searched(recall, options=options))
    )


def test_a_measured_recall_travels_with_its_sample_and_interval():
    search = searched(Recall(1000, 4, 400, 380, 900, 850))
    # 380 of 400, by Wilson: 0.9240 to 0.9674.
    words = (
        "Its measured recall is 95% (95% interval 92.4% to 96.7%): of 1000 samples"
        " drawn at random (seed 4), 400 have pairs by the exact search, and for 380 of"
        " these all were found."
    )
    assert words in claim(search)
    assert words in method(search)
    assert "in the 3 cells nearest to it" in method(search)
    assert search["recall"]["low"] == pytest.approx(0.92404, abs=1e-5)
    assert search["recall"]["high"] == pytest.approx(0.96740, abs=1e-5)


def test_nearly_all_never_reads_as_all():
    assert "recall is 99.9% (" in claim(searched(Recall(9999, 0, 9999, 9998, 1, 1)))
    assert "recall is 57% (" in claim(searched(Recall(100, 0, 100, 57, 1, 1)))


def test_a_recall_that_nothing_measured_is_not_a_number():
    words = claim(searched(Recall(1000, 0, 0, 0, 0, 0)))
    assert "could not be measured: by the exact search none of 1000 samples" in words
    assert "%" not in words


def test_every_search_has_its_say():
    both = [of_overlaps(OverlapSearch(), 200, 5, 12), searched()]
    assert claims(both) == [claim(search) for search in both]
    assert "12 of 200 samples have nothing to match on" in method(both[0])
    assert claims([])[0].startswith("No search for near-duplicates was made")


def scenes(overlap=0.0, hours=1.0, **unknown):
    return of_footprints(FootprintSearch(overlap=overlap, hours=hours), 50, unknown, 9)


def test_footprints_are_a_proof_of_every_scene_that_has_metadata():
    assert is_complete(scenes(test=4))
    assert claim(scenes(test=4)) == (
        "No two samples are in two folds if their footprints overlap and their times"
        " differ by 1 hour at most."
    )
    words = method(scenes(test=4))
    assert "box in longitude and latitude" in words
    assert words.endswith(
        "Of 50 samples 4 have no metadata and took no part: 0 of training, 4 of test."
    )


def test_footprints_say_how_much_has_to_be_shared_and_who_is_unknown():
    search = scenes(0.25, 0.5, train=3, test=4)
    assert not is_complete(search)
    assert claim(search) == (
        "No two samples are in two folds if their footprints share more than 0.25 of"
        " the smaller one and their times differ by 0.5 hours at most. 3 training"
        " samples have no metadata."
    )
    assert "7 have no metadata and took no part: 3 of training" in method(search)


def test_a_leak_is_a_count_and_at_least_that_if_pairs_may_be_missing():
    published = {"held_out": 40, "leaked": 9, "direct": 7}
    assert leak(published, [scenes()]) == (
        "9 of 40 held-out samples (22.5%) have a near-duplicate in training: 7"
        " directly, the others through further held-out ones."
    )
    overlaps = of_overlaps(OverlapSearch(), 50, 5, 12)
    assert leak(published | {"direct": 9}, [overlaps]) == (
        "At least 9 of 40 held-out samples (22.5%) have a near-duplicate in training."
    )
    assert leak(published, [overlaps, scenes()]).startswith("9 of 40")
    assert "nothing is known" in leak(published | {"leaked": 0}, [])
