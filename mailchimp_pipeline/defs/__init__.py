"""Everything that is Dagster's: thin wrappers over `runs`. Nothing is imported here, `storage` loads without assets."""
