"""What a worker is given: the node's own settings, with their templates filled in."""

from typing import Any

import msgspec
from flowforge.raw import NULL
from msgspec import UNSET

from infra.expressions import EvaluationFault, ExpressionFault, Scope, Template, compile_template
from services.execution import inputs
from services.execution.decide.step import Step
from services.execution.state import Unit


def payload_of(step: Step, unit: Unit, own: dict[str, Any]) -> msgspec.Raw:
    """As JSON; `own` is what templates see as the node's input. Raises what a value that cannot be computed raises."""
    settings = _settings(step, unit)
    if settings is None:
        return NULL
    render = inputs.render_for_worker if unit.plan.has_secrets else inputs.render
    return inputs.encoded(render(step.run, settings, step.now, unit, **own))


def _settings(step: Step, unit: Unit) -> Template | None:
    """The node's own templates; of a prompt that is stored, those that are stored, with the node's own system prompt first.

    Raises PortFault where there is no such prompt.
    """
    node = unit.plan.stored_prompt
    if node is None or node.prompt_id is None:
        return unit.plan.settings
    stored = step.run.prompts.get((node.prompt_id, node.prompt_version))
    if stored is None:
        which = f"version {node.prompt_version} of the prompt" if node.prompt_version else "prompt"
        raise inputs.PortFault(f"there is no {which} '{node.prompt_id}'")
    fields: dict[str, Any] = {"prompt": stored.prompt, "options": node.options, "prompt_version": stored.version}
    if node.system is not UNSET or stored.system is not None:
        fields["system"] = stored.system if node.system is UNSET else node.system
    try:
        return compile_template(fields, Scope.NODE_WITH_SECRETS, lazily=True)
    except ExpressionFault as fault:
        raise EvaluationFault(node.prompt_id, f"the stored prompt cannot be read: {fault}") from None
