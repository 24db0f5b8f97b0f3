"""The routes, by what they are about. Each names the role that it needs in its `opt`."""

from services.gateway.routes.approvals import decide
from services.gateway.routes.bulk import bulk
from services.gateway.routes.callbacks import call_back
from services.gateway.routes.dead_letters import retry_dead_letter
from services.gateway.routes.dry_runs import try_trigger, what_if
from services.gateway.routes.events import publish
from services.gateway.routes.forks import fork
from services.gateway.routes.health import live, ready
from services.gateway.routes.login import end_session, log_in
from services.gateway.routes.operations import (
    change,
    complete_node,
    fail_node,
    pause,
    resume,
    retry,
    set_breakpoints,
    skip_node,
    step,
)
from services.gateway.routes.people import (
    add_user,
    change_user,
    create_key,
    make_login_link,
    remove_user,
    revoke_key,
)
from services.gateway.routes.prompts import delete_prompt, save_prompt, update_prompt
from services.gateway.routes.runs import cancel, execute
from services.gateway.routes.secrets import delete_secret, set_secret
from services.gateway.routes.subscriptions import (
    change_subscription,
    create_subscription,
    delete_subscription,
    pause_subscription,
    replay_subscription,
    resume_subscription,
    try_subscription,
)
from services.gateway.routes.templates import create_template, delete_template, instantiate, update_template
from services.gateway.routes.triggers import (
    add_trigger,
    backfill,
    change_together,
    change_trigger,
    fire,
    remove_trigger,
    set_trigger_configs,
)
from services.gateway.routes.webhooks import receive
from services.gateway.routes.workflows import archive, create, roll_back, update, validate

WORKFLOWS = [
    create, validate, update, archive, roll_back, execute, add_trigger, change_trigger, remove_trigger,
    fire, backfill, set_trigger_configs,
]  # fmt: skip
"""Below `/api/workflows`."""

RUNS = [
    cancel, pause, resume, step, retry, change, set_breakpoints, complete_node, fail_node, skip_node, fork,
    bulk,
]  # fmt: skip
"""Below `/api/runs`."""

TRIGGERS = [change_together, try_trigger, what_if]
"""Below `/api/triggers`."""

EVENTS = [publish]
"""Below `/api/events`."""

WEBHOOKS = [receive]
"""Below `/api/webhooks`."""

TEMPLATES = [create_template, update_template, delete_template, instantiate]
"""Below `/api/templates`."""

PROMPTS = [save_prompt, update_prompt, delete_prompt]
"""Below `/api/prompts`."""

CALLBACKS = [call_back]
"""Below `/api/callbacks`."""

SECRETS = [set_secret, delete_secret]
"""Below `/api/secrets`."""

APPROVALS = [decide]
"""Below `/api/approvals`."""

HEALTH = [live, ready]
"""Below `/health`."""

DEAD_LETTERS = [retry_dead_letter]
"""Below `/api/dead-letters`."""

SUBSCRIPTIONS = [
    create_subscription, change_subscription, delete_subscription, pause_subscription, resume_subscription,
    replay_subscription, try_subscription,
]  # fmt: skip
"""Below `/api/subscriptions`."""

LOGIN = [log_in]
"""At the top: for browsers."""

SESSION = [end_session]
"""Below `/api/session`."""

PEOPLE = [add_user, change_user, remove_user, create_key, revoke_key, make_login_link]
"""Below `/api/users`."""
