"""Everything on this machine: real servers from their wheels, and a supervisor that keeps all processes alive.

`account` and `process` say how a child is started so that it cannot outlive us, `ports` where servers listen, `home`
what lies where on disk, `postgres` and `nats` how the two servers are prepared and who may do what on them, `services`
what else runs, `addresses` with which login, `preparation` what must be there first. `keeper` keeps one process alive,
`reaper` hears of every death, `stale` ends what a crash left, `supervisor` runs the whole, `front` is the one HTTP
process, `cluster` starts the whole as a child process for tests and the demo.

Never knows a service by more than its name: services are processes that say when they are ready.
"""
