"""Console: the web page for people, over nothing but the public HTTP interface.

Hears   requests of browsers for pages and what belongs to them.
Says    nothing.
Owns    no data.
Never   answers what lies below `/api`, and never asks for anything outside.

`web` holds the source; `build` makes `dist` of it, which is what is served.
"""
