"""What of the read models may still change, and what a batch of events changed: rows (`rows`, `statistics`) in memory."""

from uuid import UUID

from services.projections.rows import (
    CHANGED,
    CLEAN,
    NEW,
    NULL,
    ApprovalRow,
    AuditRow,
    BreakerRow,
    DeadLetterRow,
    DecisionRow,
    Json,
    NodeRow,
    PromptRow,
    PromptVersionRow,
    ReceivedRow,
    RejectionRow,
    RunLabelRow,
    RunRow,
    SecretChangeRow,
    SlotRow,
    TemplateRow,
    UserKeyRow,
    UserRow,
    VersionRow,
    WorkflowRow,
)
from services.projections.statistics import Seen, Statistics

__all__ = [
    "ApprovalRow",
    "AuditRow",
    "BreakerRow",
    "CHANGED",
    "CLEAN",
    "Changes",
    "DeadLetterRow",
    "DecisionRow",
    "Json",
    "NEW",
    "NULL",
    "NodeRow",
    "PromptRow",
    "PromptVersionRow",
    "ReadModels",
    "ReceivedRow",
    "RejectionRow",
    "RunLabelRow",
    "RunRow",
    "RunState",
    "SecretChangeRow",
    "SlotRow",
    "TemplateRow",
    "UserKeyRow",
    "UserRow",
    "VersionRow",
    "WorkflowRow",
]


class RunState:
    """A run, the rows of its nodes by (node, instance) and its open approvals, likewise.

    Rows of instances that have ended need not be there: whatever comes of one afterwards begins it anew.
    """

    __slots__ = ("approvals", "nodes", "row")

    def __init__(self, row: RunRow) -> None:
        self.row = row
        self.nodes: dict[tuple[str, str], NodeRow] = {}
        self.approvals: dict[tuple[str, str], ApprovalRow] = {}


class Changes:
    """What must be written so that the tables agree with the state: each row once, in its final form."""

    __slots__ = (
        "approvals",
        "archived",
        "audits",
        "breakers",
        "dead_letters",
        "decisions",
        "labels",
        "labels_gone",
        "listed_from_position",
        "nodes",
        "prompt_versions",
        "prompts",
        "received",
        "rejections",
        "runs",
        "secret_changes",
        "seen",
        "slots",
        "templates",
        "user_keys",
        "user_keys_gone",
        "users",
        "users_gone",
        "versions",
        "workflows",
    )

    def __init__(self) -> None:
        self.workflows: list[WorkflowRow] = []
        self.runs: list[RunRow] = []
        self.nodes: list[NodeRow] = []
        self.approvals: list[ApprovalRow] = []
        self.slots: list[SlotRow] = []
        self.templates: list[TemplateRow] = []
        self.prompts: list[PromptRow] = []
        self.prompt_versions: list[PromptVersionRow] = []
        self.versions: list[VersionRow] = []
        self.decisions: list[DecisionRow] = []
        self.received: list[ReceivedRow] = []
        self.rejections: list[RejectionRow] = []
        self.dead_letters: list[DeadLetterRow] = []
        self.secret_changes: list[SecretChangeRow] = []
        self.audits: list[AuditRow] = []
        self.breakers: dict[str, BreakerRow] = {}
        self.users: dict[str, UserRow] = {}
        self.user_keys: dict[tuple[str, str], UserKeyRow] = {}
        self.users_gone: set[str] = set()
        """Users whose keys go."""
        self.user_keys_gone: set[tuple[str, str]] = set()
        self.labels: dict[tuple[str, int], str] = {}
        self.labels_gone: dict[tuple[str, int], str] = {}
        """Labels of runs, and the positions of these, that come and that go; and their workflows."""
        self.seen = Seen()
        self.archived: list[UUID] = []
        """Runs whose rows of nodes go."""
        self.listed_from_position = 0
        """Decisions and received events from below it go."""


class ReadModels:
    """The part of the read models that may still change, and the changes since they were last written."""

    def __init__(self) -> None:
        self.workflows: dict[str, WorkflowRow] = {}
        self.runs: dict[UUID, RunState] = {}
        self.slots: dict[UUID, SlotRow] = {}
        self.templates: dict[str, TemplateRow] = {}
        self.prompts: dict[str, PromptRow] = {}
        self.users: dict[str, UserRow] = {}
        self.dead_letters: dict[UUID, DeadLetterRow] = {}
        self.statistics = Statistics()
        self.histories: dict[tuple[int, UUID], RunState] = {}
        """Runs that come back from an archive, by the position that says so: as their events until then have them."""
        self.changes = Changes()
