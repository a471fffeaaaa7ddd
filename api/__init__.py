"""The HTTP API of the pipeline: tRPC procedures, authentication, webhooks, metrics and the server."""
