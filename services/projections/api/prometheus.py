"""`/metrics`, for Prometheus: counts since this process was first asked, and how things stand now."""

from flowforge.subjects import Subjects
from litestar import Response, Router, get

from infra.bus.topology import hearings
from infra.http.authentication import VIEWER
from services.projections.api.reads import Reads
from services.projections.measured import CONTENT_TYPE, exposed, gather


@get("/", opt=VIEWER, media_type="text/plain")
async def read_metrics(reads: Reads) -> Response[bytes]:
    """Events by type, decisions, ends of runs, durations of nodes; lags, queues, slots, breakers; who listens.

    Text in the exposition format of Prometheus. A scraper needs a key, as everybody does (`authorization` in its
    configuration, with the key of a viewer).
    """
    await reads.tally.catch_up()
    standing = await gather(reads.pool, reads.client, Subjects(reads.namespace), (await reads.log.head()).position)
    page = exposed(reads.tally, standing, hearings(Subjects(reads.namespace)))
    return Response(page, media_type=CONTENT_TYPE)


def routers() -> list[Router]:
    """At the address that Prometheus expects."""
    return [Router("/metrics", route_handlers=[read_metrics], tags=["health"])]
