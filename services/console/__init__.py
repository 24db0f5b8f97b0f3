"""Console: the files of the page that people look at; the page itself is in `web`, and is built into `dist`.

Hears GET requests of browsers; says the files, read at start. Owns nothing, keeps nothing and asks nobody: whatever the
page shows it reads over the public HTTP interface, and only there it is decided who may.
"""
