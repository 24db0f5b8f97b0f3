"""Every limit of schedules, with its unit."""

every_ms_min = 100
every_ms_max = 100 * 366 * 86_400_000  # a hundred years
jitter_ms_max = 86_400_000  # a day
exclude_dates_count_max = 1000
cron_chars_max = 1000
compiled_crons_count_max = 4096  # expressions kept compiled, per process (about 3 KB each)
rarest_date_months_max = 50 * 12  # no date that exists is rarer: a 29 February of one weekday recurs within 40 years
earliest_year = 1900  # schedules have no firings before it
latest_year = 9998  # nor after it: the calendar ends a year later
