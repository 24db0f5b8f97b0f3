"""Those who follow the log are told soon, seldom, and of the last growth always."""

import asyncio

from infra.bus.nudging import NUDGED_AFTER_S, Nudges


class Followers:
    def __init__(self) -> None:
        self.heard: list[int] = []
        self._heard_more = asyncio.Event()

    async def tell(self, position: int) -> None:
        self.heard.append(position)
        self._heard_more.set()

    async def hear(self, count: int) -> list[int]:
        async with asyncio.timeout(50 * NUDGED_AFTER_S):
            while len(self.heard) < count:
                self._heard_more.clear()
                await self._heard_more.wait()
        return self.heard


async def test_a_lone_growth_is_told_soon_and_not_in_the_middle_of_what_made_it():
    followers = Followers()
    Nudges(followers.tell).grew(7)
    await asyncio.sleep(0)
    assert followers.heard == []
    assert await followers.hear(1) == [7]


async def test_what_follows_closely_is_told_once_with_the_last_position():
    followers = Followers()
    nudges = Nudges(followers.tell)
    for position in (1, 4, 9, 3):
        nudges.grew(position)
    assert await followers.hear(1) == [9]
    nudges.grew(10)
    assert await followers.hear(2) == [9, 10]


async def test_an_unknown_position_is_not_hidden_by_a_known_one():
    followers = Followers()
    nudges = Nudges(followers.tell)
    for position in (1, 0, 2):
        nudges.grew(position)
    assert await followers.hear(1) == [0]


async def test_the_rest_is_told_before_the_end_and_not_again():
    followers = Followers()
    nudges = Nudges(followers.tell)
    nudges.grew(1)
    nudges.grew(2)
    await nudges.tell_rest()
    await nudges.tell_rest()
    assert followers.heard == [2]
    nudges.grew(3)
    assert await followers.hear(2) == [2, 3]
