"""The command line `flowforge`: what a person or a script does with FlowForge from a terminal.

Hears     commands typed by a person; the server's HTTP answers and the live stream of a run
Says      requests to the gateway, and to the terminal: results on stdout, everything else on stderr
Owns      nothing; it reads `endpoints.json` and `admin.key` under FLOWFORGE_HOME
Never     shows a stack trace; prints anything but JSON on stdout under `--json`; loads a server's part to show help

Rooms: `__main__` (the commands and the edge where every error becomes a sentence and an exit status), `connect` (which
server, which key), `output` (JSON or words), `documents` (definition files, and where in them a fault stands), `view`
(a run's events folded to what is shown), `tree` (that drawn), `feed` (the same events one per line), `commands/`.

Exit status: 0 done (a watched run: completed) · 1 refused, or the run did not complete · 2 wrong usage · 3 no server.
"""
