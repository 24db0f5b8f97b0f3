"""Every limit of gateway, with its unit."""

from flowforge.definition import DEFINITION_BYTES_MAX

body_bytes_max = DEFINITION_BYTES_MAX + 256 * 1024
"""Of a request."""

definition_plain_bytes_max = 512 * 1024
"""A larger one goes to catalog compressed."""

json_depth_max = 200
"""Nested objects and lists of a request; what expressions can be given."""

yaml_values_max = 500_000
"""Of a YAML document, its aliases written out."""

events_per_request_max = 10_000
events_bytes_per_command_max = 768 * 1024
"""Events of one request that go to triggers in one command; more go in several."""

answer_wait_s = 2.0
"""How long one request to a service waits for its answer before it is sent again, under the same command id."""

answers_wait_s = 10.0
"""How long a caller waits in all while a service is away, before 503."""

rehearsal_wait_s = 90.0
"""The same for a what-if, which reads the whole history."""

what_if_items_default = 50
what_if_items_max = 1_000

retry_waits_s = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Between two tries; the last one repeats."""

idempotency_kept_s = 7 * 86_400
idempotency_key_chars_max = 255
idempotency_swept_every_s = 600.0
idempotency_swept_rows_max = 10_000

database_connections_max = 8
database_timeout_s = 5.0
connect_wait_s = 0.2
reconnect_wait_s = 0.2
ping_interval_s = 10

bulk_items_max = 1_000
"""Triggers changed by one request."""

breakpoints_max = 1_000
bulk_runs_max = 1_000
"""Runs to which one request does something."""

bulk_at_once_max = 50
"""Commands of such a request that are under way at once."""

if_match_versions_max = 20
"""Named by one If-Match."""

steps_max = 1_000
labels_max = 50
label_chars_max = 200
priority_max = 1_000
reason_chars_max = 2_000
advice_wait_s = 1.0
"""So long a save that is done waits for what is to be said about other workflows."""

webhook_bytes_max = 768 * 1024
"""Of a delivery to a webhook."""

delivery_id_chars_max = 255
form_fields_max = 1_000

webhook_workflows_cached_max = 10_000
webhook_secrets_cached_max = 10_000

rejections_looked_at_every_s = 1.0
rejections_told_every_s = 60.0
"""Deliveries that were turned away are counted in the log once in this time at most, for each trigger."""

rejections_triggers_max = 10_000
"""Triggers whose rejections wait to be told; those of further ones are not counted."""

slug_chars_max = 63
"""Of an id that is made of a name."""

category_chars_max = 100
"""Of a template's category."""

secret_chars_max = 65_536
"""Of a secret that workflows name."""

moment_chars_max = 64
"""Of a time as it is written."""

subscription_test_wait_s = 30.0
"""For the answer of a receiver that is tried out."""

next_address_chars_max = 2_048
"""Of the address to which a login leads."""

open_links_per_user_max = 50
"""Login links that nobody has used yet: each is an event of the stream of people, and anybody may have some made."""

people_looked_at_every_s = 5.0
"""In case that a gateway died after a change of users or keys was logged."""

sessions_swept_rows_max = 10_000
