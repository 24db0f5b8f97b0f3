"""Stored prompts: texts for language models, kept as versions that `prompt_execution` nodes name.

Read in this order: prompt (what one is, and how a stream of events makes one), decide (what commands lead to), handling
(what is its own among services.catalog.versioned).
"""

from services.catalog.prompts.handling import prompts
from services.catalog.prompts.prompt import State

__all__ = ["State", "prompts"]
