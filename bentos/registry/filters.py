"""How a search of MLflow is told which names are meant."""


def named(name: str) -> str:
    """The filter for a name. It knows no escapes, so that a name with both quotes is a pattern."""
    if "'" not in name:
        return f"name='{name}'"
    if '"' not in name:
        return f'name="{name}"'
    return f"name LIKE '{pattern(name)}'"


def pattern(text: str) -> str:
    """For LIKE, where _ is any one character."""
    return text.replace("'", "_")
