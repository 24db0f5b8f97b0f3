from collections.abc import Callable
from pathlib import Path

import pytest

from services.cli import documents
from services.cli.documents import Document
from services.cli.glyphs import Glyphs
from services.cli.output import EXIT_USAGE, Failure

GOOD = "id: {id}\nname: N\nnodes:\n  - {{id: a, type: job, job_type: x}}\n"


def written(folder: Path, text: str, name: str = "flow.yaml") -> list[Document]:
    file = folder / name
    file.write_text(text)
    return documents.read([str(file)])


def frames(folder: Path, text: str, name: str = "flow.yaml") -> str:
    [document] = written(folder, text, name)
    shown = [documents.frame(document, found, Glyphs()).plain for found in document.findings]
    return "\n".join(shown).replace(f"{folder}/", "")


def test_a_whole_document_has_no_findings(tmp_path: Path):
    [document] = written(tmp_path, GOOD.format(id="a"))
    assert (document.id, document.findings) == ("a", [])


def test_an_unknown_field_is_marked_where_it_stands_with_the_word_that_was_meant(tmp_path: Path):
    text = "id: a\nname: N\nnodes:\n  - id: x\n    type: job\n    job_tpe: report\n"
    assert frames(tmp_path, text) == (
        "✘ error: Object contains unknown field `job_tpe`\n"
        "   ┌ flow.yaml:6:5  $.nodes[0].job_tpe\n"
        " 4 │   - id: x\n"
        " 5 │     type: job\n"
        " 6 │     job_tpe: report\n"
        "   │     ^^^^^^^\n"
        "   = did you mean `job_type`?"
    )


def test_a_field_whose_value_stands_on_the_next_line_is_marked_at_its_name(tmp_path: Path):
    [document] = written(tmp_path, GOOD.format(id="a") + "settngs:\n  fail_fast: true\n")
    assert [(found.line, found.column, found.width) for found in document.findings] == [(5, 1, 7)]


def test_every_fault_is_told_at_once_in_the_order_of_the_file(tmp_path: Path):
    text = (
        "id: a\nname: N\nnodes:\n  - {id: Zz, type: end, colour: red, size: 3}\n  - {id: b, type: jobb}\n"
        'settings: {max_parallel_jobs: "many", timout_ms: 3}\ntagz: 3\n'
    )
    [document] = written(tmp_path, text)
    assert [found.path for found in document.findings] == [
        "$.nodes[0].id", "$.nodes[0].colour", "$.nodes[0].size", "$.nodes[1].type", "$.settings.max_parallel_jobs",
        "$.settings.timout_ms", "$.tagz",
    ]  # fmt: skip


def test_a_field_below_config_is_found_there(tmp_path: Path):
    text = "id: a\nname: N\nnodes:\n  - id: x\n    type: job\n    config: {job_type: x, queu: q}\n"
    [document] = written(tmp_path, text)
    assert [(found.message, found.suggested_resolution) for found in document.findings] == [
        ("Object contains unknown field `queu`", "did you mean `queue`?")
    ]


def test_broken_yaml_says_line_and_column(tmp_path: Path):
    assert frames(tmp_path, "id: a\nname: [unclosed\nnodes: []\n").splitlines()[1] == "   ┌ flow.yaml:3:6"


def test_broken_json_is_told_in_the_words_of_json(tmp_path: Path):
    text = '{\n  "id": "a",\n  "nodes": [ {"id": "x" ]\n}\n'
    assert frames(tmp_path, text, "flow.json") == (
        "✘ error: this is no valid JSON: expecting ',' delimiter\n"
        "   ┌ flow.json:3:25\n"
        ' 1 │ {\n 2 │   "id": "a",\n 3 │   "nodes": [ {"id": "x" ]\n'
        "   │                         ^"
    )


def test_documents_of_one_file_keep_their_line_numbers(tmp_path: Path):
    text = f"# first\n{GOOD.format(id='a')}---\n{GOOD.format(id='b')}tagz: 1\n--- # nothing\n"
    first, second = written(tmp_path, text)
    assert (first.id, first.findings, second.id) == ("a", [], "b")
    assert [found.line for found in second.findings] == [11]


def test_a_folder_is_read_file_by_file_hidden_ones_left_out(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("b.yaml", "sub/a.json", ".hidden/c.yaml", "notes.txt"):
        (tmp_path / name).write_text(GOOD.format(id="a"))
    read = documents.read([str(tmp_path)])
    assert [Path(document.file).name for document in read] == ["b.yaml", "a.json"]


def test_a_long_line_is_shown_around_the_spot(tmp_path: Path):
    text = '{"id": "a", "name": "N", "description": "' + "x" * 500 + '", "nodes": [], "tagz": 1}'
    lines = frames(tmp_path, text, "flow.json").splitlines()
    assert len(lines[2]) < 130
    assert lines[2][lines[3].index("^") :].startswith('"tagz"')


@pytest.mark.parametrize(
    ("make", "message", "next_step"),
    [
        (lambda folder: folder / "floww.yaml", "there is no file", "flow.yaml"),
        (lambda folder: folder / "empty", "holds no .json, .yaml or .yml file", ""),
    ],
)
def test_files_that_are_not_there_are_wrong_usage(
    tmp_path: Path, make: Callable[[Path], Path], message: str, next_step: str
):
    (tmp_path / "flow.yaml").write_text(GOOD.format(id="a"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(Failure, match=message) as failure:
        documents.read([str(make(tmp_path))])
    assert failure.value.status == EXIT_USAGE
    assert next_step in failure.value.next_step


def test_a_text_that_is_no_object_is_a_finding(tmp_path: Path):
    assert "a workflow is an object" in frames(tmp_path, "3\n")
