"""Anomalies in hourly gas readings."""
