"""What every HTTP application of FlowForge shares: who may call, how a refusal reads, how a list is paged, what is described.

`problems` RFC 9457 documents · `paging` opaque, checked cursors · `authentication` API keys and roles · `queries` no
unknown query parameter passes · `etags` versions as conditions · `methods` what an address knows, for 405 and `OPTIONS` ·
`described` what handlers take and give, for the description of the interface · `observed` durations and spans.
"""
