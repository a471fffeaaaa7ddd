"""The Dagster definitions, which call `services`. Imports nothing, so that `storage` loads without the assets."""
