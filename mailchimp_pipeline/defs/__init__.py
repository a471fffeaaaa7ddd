"""The Dagster definitions: thin wrappers over `services`. Imports nothing, so `storage` loads without the assets."""
