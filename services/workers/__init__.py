"""Workers: the built-in ones, which run `script` nodes in processes of their own and make the calls of `webhook` nodes.

Hears jobs of these types on its queues, and cancels. Says reports, and questions for the secrets that a job names, which
no other worker may ask; catalog answers them, sealed for the one question. Owns nothing: what it runs is in the log of
execution, what it leaves behind is removed. Never sees the database, never keeps anything between two jobs.
"""
