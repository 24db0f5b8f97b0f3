"""What every HTTP application of FlowForge shares: who may call, how a refusal reads, how a list is paged.

`problems` RFC 9457 documents · `paging` opaque, checked cursors · `authentication` API keys and roles · `queries` no
unknown query parameter passes.
"""
