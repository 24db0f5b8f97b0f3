"""Every limit of the expression engine, with its unit. Those marked CEL are built into the library, not settings."""

expression_chars_max = 10_000
template_chars_max = 1024 * 1024  # keys and texts of one template together
template_depth_max = 200  # nested objects and lists of a template
value_depth_max = 200  # of a value handed to CEL; Google's C++ CEL overruns its stack between 1,000 and 10,000
exploding_bytes_max = 32 * 1024  # of JSON read by an expression that replaces or joins by computed texts
result_bytes_max = 16 * 1024 * 1024  # about what the result takes as JSON
compiled_count_max = 4096  # expressions kept compiled, per process (about 5 KB each)
shown_chars_max = 200  # of one value in an explanation
explanation_chars_max = 2000
native_chars_max = 1000  # of a message of the library
expression_depth_max = (
    32  # CEL: nested brackets, selections and operators (`&&` and `||` are balanced and do not count)
)
iterations_max = (
    10_000  # CEL: of all macros of one evaluation together; `map` and `filter` take about 1.5 s for so many
)
