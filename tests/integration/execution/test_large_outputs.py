"""Templates see an output that travels by reference as they see any other."""

import msgspec
from execution_stage import Installation
from flowforge.events import ChildRunEnded, ChildRunRequested, NodeQueued, RunCompleted
from flowforge.reports import BlobRef

LARGE = {"text": "x" * 300_000, "name": "large"}


async def reference(installation: Installation) -> msgspec.Raw:
    data = msgspec.json.encode(LARGE)
    return msgspec.Raw(msgspec.json.encode(BlobRef(hash=await installation.log.put_blob(data), size=len(data))))


async def test_the_output_of_a_child(installation: Installation):
    child = {"id": "c", "type": "workflow", "workflow_id": "child"}
    sees = {"id": "t", "type": "data_transform", "expressions": {"name": "${nodes.c.output.name}"}}
    await installation.define(child, sees, edges=[{"source_node_id": "c", "target_node_id": "t"}])
    await installation.start()
    run = await installation.run()
    await installation.until_logged(run, "ChildRunRequested")
    [asked] = await installation.events(run, ChildRunRequested)
    ended = ChildRunEnded(
        parent_run_id=run, node_id="c", status="completed", output=await reference(installation), error=None
    )
    await installation.logged("run", asked.child_run_id, ended)
    [stored] = await installation.log.read_stream(asked.child_run_id)
    await installation.publish(stored, "child")
    await installation.until_logged(run, "RunCompleted")
    [completed] = await installation.events(run, RunCompleted)
    assert bytes(completed.output) == b'{"name":"large"}'


async def test_what_the_iteration_before_gave(installation: Installation):
    payload = {"seen": "${previous == null ? '' : previous.name}"}
    body = {"nodes": [{"id": "j", "type": "job", "job_type": "work", "payload": payload}]}
    goes_on = "index < 2 && (previous == null || previous.name == 'large')"
    loop = {"id": "l", "type": "loop", "loop_type": "while", "condition": goes_on, "body": body}
    await installation.define(loop)
    await installation.start()
    run = await installation.run()
    await installation.until_logged(run, "NodeQueued")
    await installation.completes(run, "j", LARGE, instance="0")
    await installation.until_logged(run, "NodeQueued", 2)
    payloads = [bytes(queued.payload) for queued in await installation.events(run, NodeQueued)]
    assert payloads == [b'{"seen":""}', b'{"seen":"large"}']
    await installation.stop()
    await installation.start()
    await installation.completes(run, "j", LARGE, instance="1")
    await installation.until_logged(run, "RunCompleted")
