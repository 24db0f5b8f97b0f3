"""Workers: the built-in worker, which runs `script` nodes in processes of their own.

Hears jobs of type `script` on its queues, and cancels. Says reports, and nothing else. Owns nothing: what it runs is in
the log of execution, what it leaves behind is removed. Never sees the database, never keeps anything between two jobs.
"""
