"""The interfaces as documents: `openapi.json` (HTTP) and `asyncapi.json` (NATS), generated from the code."""
