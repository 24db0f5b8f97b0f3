"""CEL expressions and templates: the only language in definitions (interface.md 1.4). Pure: no clock, no I/O.

    condition = compile_condition('event.data.size > 10 && event.type == "file"', Scope.FILTER)
    condition.holds({"event": event, "now": now})            # or explain_false(condition, {...}), equalities(condition)
    template = compile_template({"who": "${input.name}", "text": "to ${input.name}"}, Scope.NODE)
    template.render({"input": {"name": "Ada"}})              # {"who": "Ada", "text": "to Ada"}

Read in this order: limits, faults, scope, library, lexer, reading, values, paths, wording, expression, conjuncts,
condition, template.
"""

from infra.expressions.condition import Condition
from infra.expressions.conjuncts import Constant, conjuncts, equalities, explain_false, index_key
from infra.expressions.expression import Expression, compile_condition, compile_expression, compile_lazily
from infra.expressions.faults import EvaluationFault, ExpressionFault, Fault
from infra.expressions.scope import Scope
from infra.expressions.template import Template, compile_template, escaped

__all__ = [
    "Condition",
    "Constant",
    "EvaluationFault",
    "Expression",
    "ExpressionFault",
    "Fault",
    "Scope",
    "Template",
    "compile_condition",
    "compile_expression",
    "compile_lazily",
    "compile_template",
    "conjuncts",
    "equalities",
    "escaped",
    "explain_false",
    "index_key",
]
