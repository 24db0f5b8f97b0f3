"""The interfaces as documents, generated from the code: OpenAPI for HTTP, AsyncAPI for NATS.

    python -m infra.documents --reads MODULE:create_app --writes MODULE:create_app [--check]

writes `openapi.json` and `asyncapi.json` into the contracts, or says with exit status 1 that they are not what the code
says. The applications are found by name, as the front finds them: `infra` knows no service.
"""
