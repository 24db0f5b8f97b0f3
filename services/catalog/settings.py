"""Every limit of catalog, with its unit."""

from flowforge.definition import DEFINITION_BYTES_MAX, NODES_MAX, PROMPT_BYTES_MAX

definition_bytes_max = DEFINITION_BYTES_MAX
"""Of a stored definition, as JSON."""

prompt_bytes_max = PROMPT_BYTES_MAX
"""Of a stored prompt, its system prompt included, as JSON."""

said_bytes_max = 1_000_000
"""A message on the bus that would be larger leaves the definition out; it is in the log and read over HTTP."""

queue_wait_s = 1.0
"""How long a save waits for the queues of its job types; execution makes what is missing later."""

followers_max = 15
"""How many further commands for one workflow are decided in one turn; the others are asked to come again."""

findings_shown_max = 100
"""Errors of one report, and as many warnings."""

words_compared_max = 10_000
"""Known words with which misspelled ones are compared for one report; 0.1 ms each at worst."""

nodes_shown_max = 50
"""Nodes named by one finding."""

ids_shown_max = 1_000
"""Ids in each list of a report."""

message_chars_max = 1_000
"""Of one finding's message; as many of its path and of its resolution."""

answer_bytes_max = 900_000
"""An answer that would be larger than the bus takes shows few findings."""

findings_shown_least = 3

secret_chars_min = 8
secret_chars_max = 512
secret_chars_weak = 16
"""A shorter one of a webhook is warned about."""

secret_key_bytes_min = 24
secret_key_bytes_max = 64
"""Of a secret of Standard Webhooks, after `whsec_`."""

secrets_max = 5
"""Accepted by one webhook trigger at once."""

nodes_max = NODES_MAX
"""Of one definition, the bodies of loops included."""

loop_depth_max = 8
"""Bodies of loops inside one another."""

branch_steps_max = 2_000_000
"""Steps along edges, in all, that are taken to see which nodes belong to which branch; about 0.5 s."""

referenced_max = 200
"""Workflows and stored prompts named by one definition that are looked up."""

secrets_swept_every_s = 600.0
"""How often values of secrets that no name stands for are looked for."""

nodes_with_secrets_cached_max = 2_000
"""Versions of workflows of which it is remembered which node refers to which secrets."""

users_max = 1_000
keys_per_user_max = 20

reports_kept_max = 50
"""Answers to validations that are given again to the same command."""

unpacked_kept_max = 2
"""Large definitions that are kept unpacked while commands that bring them are looked at."""
