"""Every limit of the console's pages, with its unit."""

files_bytes_max = 64 * 1024**2
"""Of all built files together, which are kept in memory."""

assets_kept_s = 365 * 86_400
"""How long browsers keep what is named by its content."""
