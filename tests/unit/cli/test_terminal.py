"""What others wrote is shown, and commands no terminal."""

import io

import pytest
from rich.text import Text

from services.cli.output import table
from services.cli.terminal import Terminal, harmless


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("\x1b]0;your title\x07named", "named"),
        ("\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("\x1bcreset", "\ufffdcreset"),
        ("half \x1b[3", "half \ufffd[3"),
        ("over\rwritten", "over\ufffdwritten"),
        ("right \u202eot tfel", "right \ufffdot tfel"),
        ("äöü ✓ 漢字\n\tnext", "äöü ✓ 漢字\n\tnext"),
    ],
)
def test_orders_are_left_out_and_other_control_characters_are_seen(text: str, shown: str):
    assert harmless(text) == shown


@pytest.mark.parametrize("is_terminal", [False, True])
def test_nothing_that_is_printed_orders_a_terminal_but_what_we_style_ourselves(is_terminal: bool):
    evil, said = "\x1b[2Jname\x9b1m\x07", io.StringIO()
    terminal = Terminal(
        file=said,
        force_terminal=is_terminal,
        width=80,
        markup=False,
        highlight=False,
        color_system="standard" if is_terminal else None,
    )
    lines = table("name")
    lines.add_row(evil)
    terminal.print(evil, Text.assemble((evil, "bold")), lines)
    styled = said.getvalue()
    assert styled.count("name") == 4
    assert styled.count("\x1b[1m") == is_terminal
    assert not any(order in styled for order in ("\x1b[2J", "\x9b", "\x07"))
