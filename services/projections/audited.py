"""What the audit trail says that something was done to. Pure."""

SUBJECT_BYTES_MAX = 2_500
"""An entry of an index has room for so many: of an event, whose source and id make its name, they may be more."""


def audited_subject(name: str) -> str:
    """A name as `audit` has it."""
    encoded = name.encode()
    return name if len(encoded) <= SUBJECT_BYTES_MAX else encoded[:SUBJECT_BYTES_MAX].decode(errors="ignore")
