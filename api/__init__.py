"""The HTTP API of the pipeline: procedures over tRPC, who may call them, and what runs them."""
