"""One way for each flavor to open a model without running its code."""
