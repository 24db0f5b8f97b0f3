"""Templates: definitions to make workflows of, ready-made and one's own.

Read in this order: template (what one is, and how a stream of events makes one), ready_made (those that come with the
code), decide (what commands lead to), handling (as the shell runs it, beside services.catalog.versioned).
"""

from services.catalog.templates.handling import Templates
from services.catalog.templates.template import Template

__all__ = ["Template", "Templates"]
