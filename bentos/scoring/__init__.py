"""Whole tables, scored in parts."""
