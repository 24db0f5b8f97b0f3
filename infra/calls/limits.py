"""Every limit of a call, with its unit."""

call_connect_s = 10.0
redirects_max = 5

response_bytes_max = 16 * 1024 * 1024
"""Of the answer to a call, where who calls wants no smaller one."""
