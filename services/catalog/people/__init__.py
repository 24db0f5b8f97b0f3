"""People: users with a role and their keys, kept as one stream of events.

Read in this order: state (who there is, and how the stream makes them), decide (what commands lead to), handling (what is
its own among services.catalog.versioned).
"""

from services.catalog.people.handling import people

__all__ = ["people"]
