"""Forecasting of many series at once: the inverted transformer, its jobs and its benchmark."""
