"""Cofferdam's provider for Apache Airflow®: sandboxed tasks that never hold a secret."""

__version__ = "0.1.0"
