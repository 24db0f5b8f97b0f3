"""Subscriptions: run events of a filter, posted to an address, signed, again and again until they arrive.

Hears   commands about subscriptions; follows the log for what they are to be told.
Says    nothing on the bus; posts CloudEvents to whoever subscribed.
Owns    streams `subscription`; the tables `subscriptions.cursors` (how far each has come) and `subscriptions.deliveries`
        (what is owed, and the last of what was posted).
Never   waits for one receiver with what is another's, nor forgets what is owed to one that does not answer.

Read in this order: store.sql, state, filters, retries, decide, lanes, store, recent, posting, delivering, views, handlers.
"""
