"""Which jobs may begin in a worker, as what each takes adds up."""

import msgspec
import pytest
from flowforge.identity import new_uuid
from flowforge.reports import JobRequested, JobResources
from flowforge.room import Offer, Room
from hypothesis import given
from hypothesis import strategies as st


class Waiting(msgspec.Struct, eq=False):
    """A job as far as room goes."""

    request: JobRequested


def job(slots: int = 1, memory_mb: int = 0) -> Waiting:
    resources = JobResources(slots=slots, memory_mb=memory_mb)
    return Waiting(
        JobRequested(
            job_id=new_uuid(), job_type="w", workflow_id="w", run_id=new_uuid(), node_id="n", attempt=1,
            idempotency_key="k", resources=resources,
        )
    )  # fmt: skip


def test_jobs_begin_until_the_slots_are_taken() -> None:
    room = Room[Waiting](Offer(10, 4))
    first, second, third = job(2), job(2), job()
    assert [room.enter(each) for each in (first, second, third)] == [True, True, False]
    assert room.leave(first) == [third]


def test_memory_counts_beside_slots() -> None:
    room = Room[Waiting](Offer(10, 10, 1000))
    large, other, without = job(memory_mb=800), job(memory_mb=300), job()
    assert [room.enter(each) for each in (large, other, without)] == [True, False, True]
    assert room.leave(large) == [other]


def test_a_job_that_says_nothing_takes_one_slot_and_no_memory() -> None:
    room = Room[Waiting](Offer(10, 1, 0))
    silent = job()
    silent.request.resources = None
    assert room.enter(silent)
    assert room.open_count == 0


def test_small_jobs_pass_a_large_one_only_while_they_do_not_stand_in_its_way() -> None:
    room = Room[Waiting](Offer(10, 4, 1000))
    running, large = job(memory_mb=600), job(memory_mb=700)
    assert [room.enter(running), room.enter(large)] == [True, False]
    assert room.enter(job())  # needs none of what the large one waits for
    assert not room.enter(job(memory_mb=400))  # would fit now, and keep the large one waiting
    assert room.leave(running) == [large]


def test_a_large_job_comes_to_its_turn_however_many_small_ones_come() -> None:
    room = Room[Waiting](Offer(10, 4))
    running = [job() for _ in range(4)]
    assert all(room.enter(each) for each in running)
    large = job(4)
    assert not room.enter(large)
    begun = list[Waiting]()
    for each in running:
        assert not room.enter(job())
        begun += room.leave(each)
    assert begun == [large]


def test_one_that_is_withdrawn_stands_in_nobodys_way() -> None:
    room = Room[Waiting](Offer(10, 4))
    room.enter(job(3))
    large, small = job(4), job()
    assert [room.enter(large), room.enter(small)] == [False, False]
    assert room.withdraw(large) == [small]
    assert room.withdraw(large) is None


def test_no_more_handlers_than_allowed_whatever_the_slots() -> None:
    room = Room[Waiting](Offer(2, 100))
    assert [room.enter(job()) for _ in range(3)] == [True, True, False]


def test_what_waits_counts_as_taken() -> None:
    room = Room[Waiting](Offer(10, 4))
    room.enter(job(2))
    assert room.open_count == 2
    room.enter(job(4))
    assert room.open_count == 0
    (large,) = room.empty()
    assert large.request.resources == JobResources(slots=4)
    assert room.open_count == 2


@pytest.mark.parametrize(
    ("need", "lacks"),
    [
        (JobResources(slots=5), "it needs 5 slots, and at most 4 are offered"),
        (JobResources(memory_mb=101), "it needs 101 MB of memory, and at most 100 MB are offered"),
        (JobResources(slots=4, memory_mb=100), None),
    ],
)
def test_what_never_fits_is_told_in_words(need: JobResources, lacks: str | None) -> None:
    assert Offer(10, 4, 100).lacks(need) == lacks


@given(st.data(), st.integers(1, 6), st.integers(1, 8), st.none() | st.integers(0, 10))
def test_never_more_than_is_offered_and_everybody_gets_in(
    data: st.DataObject, jobs_max: int, slots: int, memory_mb: int | None
) -> None:
    offer = Offer(jobs_max, slots, memory_mb)
    room = Room[Waiting](offer)
    running, begun = list[Waiting](), list[Waiting]()
    coming = [
        job(*needs)
        for needs in data.draw(
            st.lists(
                st.tuples(st.integers(1, slots), st.integers(0, 12 if memory_mb is None else memory_mb)), max_size=30
            )
        )
    ]
    left = list(coming)
    while left or running:
        if left and (not running or data.draw(st.booleans())):
            comes = left.pop(0)
            admitted = [comes] if room.enter(comes) else []
        else:
            admitted = room.leave(running.pop(data.draw(st.integers(0, len(running) - 1))))
        running += admitted
        begun += admitted
        took = [each.request.resources or JobResources() for each in running]
        assert len(running) <= jobs_max
        assert sum(each.slots for each in took) <= slots
        assert memory_mb is None or sum(each.memory_mb for each in took) <= memory_mb
    assert set(map(id, begun)) == set(map(id, coming))
