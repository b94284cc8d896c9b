"""DAGs that show how tasks are run."""
