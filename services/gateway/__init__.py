"""Gateway: everything that is asked for over HTTP and changes something.

Hears HTTP requests; says commands to catalog, triggers and execution, and answers with what they answered. Owns the
sessions and login links of the console and the idempotency keys (schema `gateway`), and there keeps users and API keys
as the stream of people in the log tells of them, which is what authentication reads. Verifies the signatures of
webhooks, for which it reads definitions from the log and opens secrets, and the tokens of callbacks. Seals the secrets
that are set by name: on the bus only references travel. Never writes to the event log, never decides what a command
means, and never answers 2xx for what is not in the log. Reads (GET) are the projections service's.
"""
