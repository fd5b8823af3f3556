"""Which batch is whose: each batch of an epoch once, whoever comes and goes."""

from __future__ import annotations

import numpy as np
import pytest
from dist_parts import Site, push, same, small_model

from matrixslow.dist.message import Message
from matrixslow.dist.place import Place
from matrixslow.errors import FormatError, WorkerLost


@pytest.mark.parametrize("seed", range(20))
def test_whoever_comes_and_goes_each_batch_is_done_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    place, batches, taken = Place(), 40, []
    while place.batches < batches:
        workers = tuple(sorted(rng.choice(8, size=rng.integers(1, 7), replace=False).tolist()))
        chosen = [place.next(batches, workers, rank) for rank in workers]
        answered = [x for x in chosen if x is not None and rng.random() < 0.8]
        for batch in answered:
            place = place.after((0, batch))
        taken += answered
    assert sorted(taken) == list(range(batches))
    assert place == Place(0, batches)


def test_with_the_same_workers_all_along_it_is_by_rank_and_step() -> None:
    place = Place()
    for step in range(5):
        chosen = [place.next(14, (0, 1, 2), rank) for rank in range(3)]
        assert chosen == [x if x < 14 else None for x in range(3 * step, 3 * step + 3)]
        for batch in chosen:
            place = place if batch is None else place.after((0, batch))


def test_one_who_is_not_yet_seen_takes_nothing() -> None:
    assert Place().next(10, (0, 1), 5) is None


def test_a_later_epoch_begins_anew_and_an_earlier_one_is_done() -> None:
    place = Place(2, 5, (7,))
    assert place.has((1, 100))
    assert not place.has((3, 0))
    assert place.at(3) == Place(3)
    assert place.at(1) == place
    assert place.after((3, 1)) == Place(3, 0, (1,))
    assert Place.from_json(place.to_json()) == place


@pytest.mark.parametrize("content", [None, [1, 2], [0, -1, []], [0, 0, ["a"]]])
def test_a_damaged_place_is_refused(content: object) -> None:
    with pytest.raises(FormatError, match="does not describe one"):
        Place.from_json(content)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_batch_that_two_workers_took_counts_once(mode: str) -> None:
    twice, once = Site(mode=mode), Site(mode=mode)
    for site, second in ((twice, push(1, 1, part=(0, 3))), (once, push(1, 1).without_slopes())):
        site.store.push(push(0, 1, part=(0, 3)))
        site.store.push(second)
        site.store.commit()
    assert same(twice.weights(), once.weights())
    assert twice.store.place == Place(0, 0, (3,))


def test_the_place_is_kept_with_the_weights() -> None:
    site = Site(small_model(1), shards=2)
    for step, part in enumerate([(0, 0), (0, 1), (1, 0)], 1):
        site.store.push(push(0, step, part=part, dense=site.blocks(push(0, step).dense)))
        site.store.commit()
    assert site.replayed().place == Place(1, 1)
    pulled = site.store.pull(0, 1, 2)
    site.store.commit()
    assert pulled.result(0).place == Place(0, 2)
    assert pulled.result(0).live == [0]
    other = Site(small_model(1), shards=2)
    other.store.load(site.store.state())
    assert other.store.place == Place(1, 1)
    before = other.store.pull(0, 1, 2)
    other.store.commit()
    assert before.result(0).place == Place(0, 2)


def test_a_job_may_begin_in_the_middle() -> None:
    site = Site(joined=())
    other = Site(joined=())
    fresh = type(site.store)(site.journal, site.store.options, clock=site.clock)
    setup = fresh.setup(site.model, other.weights(), place=Place(3, 4))
    assert setup is not None
    fresh.commit()
    assert fresh.place == Place(3, 4)


def test_what_each_worker_says_is_handed_to_all() -> None:
    site = Site()
    said = [Message("tally", {"rank": rank}) for rank in range(2)]
    first = site.store.gather(0, 1, "epoch 0", said[0])
    site.store.commit()
    assert not first.done()
    second = site.store.gather(1, 1, "epoch 0", said[1])
    site.store.commit()
    assert first.result(0) == second.result(0) == {0: said[0], 1: said[1]}
    again = site.store.gather(0, 1, "epoch 0", said[0])
    assert again.result(0) == first.result(0)


def test_nobody_waits_for_one_who_was_given_up() -> None:
    site = Site()
    waiting = site.store.gather(0, 1, "end", Message("tally"))
    site.store.heartbeat(0, 1)
    site.clock.now += 11
    site.store.heartbeat(0, 1)
    site.store.tick()
    site.store.commit()
    assert list(waiting.result(0)) == [0]


def test_with_too_few_workers_a_meeting_is_called_off() -> None:
    site = Site(min_workers=2)
    waiting = site.store.gather(0, 1, "end", Message("tally"))
    site.clock.now += 11
    site.store.heartbeat(0, 1)
    site.store.tick()
    site.store.commit()
    site.store.commit()
    with pytest.raises(WorkerLost, match=r"worker 1, last seen 11\.0 s ago"):
        waiting.result(0)


def test_what_was_said_outlives_the_server() -> None:
    site = Site()
    for rank in range(2):
        site.store.gather(rank, 1, "end", Message("tally", {"rank": rank}, {"x": np.ones(3)}))
    site.store.commit()
    loaded = Site(joined=()).store
    loaded.load(site.store.state())
    for store in (site.replayed(), loaded):
        answer = store.gather(0, 1, "end", Message("tally")).result(0)
        assert [x.fields["rank"] for x in answer.values()] == [0, 1]
        assert answer[1].arrays["x"].tolist() == [1, 1, 1]


def test_a_meeting_that_cannot_be_kept_is_held_again() -> None:
    site = Site()
    waiting = [site.store.gather(rank, 1, "end", Message("tally")) for rank in range(2)]
    site.journal.full = True
    site.store.commit()
    assert not any(future.done() for future in waiting)
    site.journal.full = False
    site.store.commit()
    assert all(list(future.result(0)) == [0, 1] for future in waiting)


def test_nobody_waits_for_the_step_of_one_who_is_at_a_meeting() -> None:
    site = Site(mode="ssp", staleness=1)
    for step in (1, 2):
        site.store.push(push(0, step))
        site.store.commit()
    pulled = site.store.pull(0, 1, 2)
    site.store.commit()
    assert not pulled.done()
    site.store.gather(1, 1, "end", Message("tally"))
    site.store.commit()
    assert pulled.result(0).version == 2
