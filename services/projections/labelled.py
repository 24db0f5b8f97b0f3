"""Finding runs by their labels, newest first, however long ago they were: through `run_labels`. Pure."""

from collections.abc import Mapping

import msgspec

from services.projections.conditions import Conditions

LABEL_TEXT_CHARS_MAX = 400
"""An entry of an index has room for so many; what is cut is looked at in the run itself."""


def label_text(name: str, value: str) -> str:
    """A label as `run_labels` has it."""
    return f"{name}={value}"[:LABEL_TEXT_CHARS_MAX]


def with_labels(conditions: Conditions, labels: Mapping[str, str]) -> Conditions:
    """Ask for runs that have all these labels."""
    return conditions.add("labels @> {}::jsonb", msgspec.json.encode(labels).decode()) if labels else conditions


def found_by(conditions: Conditions, labels: Mapping[str, str], before_position: int | None = None) -> str:
    """What joins `runs` with those that have all these labels, created before a position, for a list in the order of
    `created_position`; its values join those of the conditions, which ask for the labels as well."""
    joins: list[str] = []
    for number, (name, value) in enumerate(labels.items()):
        of_label = Conditions.within(conditions).add("label = {}", label_text(name, value))
        of_label.add("created_position < {}", before_position)
        found = f"select created_position as position_{number} from projections.run_labels{of_label.where()}"  # noqa: S608
        joins.append(f" join ({found}) label_{number} on created_position = position_{number}")
    return "".join(joins)
