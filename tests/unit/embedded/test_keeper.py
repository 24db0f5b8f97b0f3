from infra.embedded.keeper import START_INTERVALS_S, restart_delay_s


def test_a_first_death_is_answered_at_once() -> None:
    assert restart_delay_s(early_deaths=0, lived_s=0.01) == 0
    assert restart_delay_s(early_deaths=0, lived_s=3600) == 0


def test_repeated_deaths_are_started_ever_further_apart_but_at_most_two_seconds() -> None:
    delays = [restart_delay_s(early_deaths=count, lived_s=0) for count in range(100)]
    assert delays == sorted(delays)
    assert max(delays) == START_INTERVALS_S[-1] == 2


def test_the_time_it_lived_counts() -> None:
    assert restart_delay_s(early_deaths=9, lived_s=1.5) == 0.5
    assert restart_delay_s(early_deaths=9, lived_s=8) == 0
