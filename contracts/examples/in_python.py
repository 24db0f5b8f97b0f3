"""A workflow written in Python, saved, run, and looked at, without one `async`:

    python contracts/examples/in_python.py [--draw FILE.svg]

Beside a running `flowforge up` it finds address and key by itself. In a notebook the last value of a cell, a workflow or a
run, shows itself as a picture.
"""

import argparse
from pathlib import Path

from flowforge import DataTransformNode, Run, ScriptNode, SyncClient, Variable, Workflow, WorkflowBuilder

COUNT = """
import json, os
text = json.load(open(os.environ["FLOWFORGE_INPUT"]))["text"]
json.dump({"words": len(text.split())}, open(os.environ["FLOWFORGE_OUTPUT"], "w"))
"""


def word_count() -> Workflow:
    """Counts words and letters side by side, and says how long a word is."""
    flow = WorkflowBuilder("word-count", name="Word count", variables=[Variable(name="greeting", default_value="So")])
    words = flow.add(ScriptNode(id="words", language="python", source=COUNT))
    letters = flow.add(DataTransformNode(id="letters", expressions={"letters": "${size(input.text)}"}))
    say = flow.add(
        DataTransformNode(
            id="say",
            expressions={
                "text": "${variables.greeting}: ${nodes.letters.output.letters} letters "
                "in ${nodes.words.output.words} words"
            },
        )
    )
    sorry = flow.add(DataTransformNode(id="sorry", expressions={"text": "that was no text"}))
    _ = [words, letters] >> say
    words.on_failure(sorry)
    return flow.build()


def count(client: SyncClient, text: str) -> Run:
    """The run, once it has ended."""
    client.save_workflow(word_count())
    return client.wait(client.execute("word-count", {"text": text}), timeout_s=60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draw", type=Path, help="write the run's picture to this SVG file")
    drawn: Path | None = parser.parse_args().draw
    with SyncClient() as client:
        run = count(client, "the quick brown fox")
        for event in client.events(run["run_id"]):
            print(event["position"], event["type"], event["data"].get("node_id", ""))
    print(run["status"], run["output_data"])
    if drawn is not None:
        drawn.write_text(run.to_svg())


if __name__ == "__main__":
    main()
