"""The table of docs/providers.md, made from the rows: `python -m tests.docs.provider_table` prints it."""

from collections.abc import Iterable

from nanobot.models.providers import PROVIDERS, Provider


def provider_table() -> str:
    """Return the table of the providers that are shipped, in Markdown."""
    lines = ["| provider | what it is | address | key | default model |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *map(_row, PROVIDERS)])


def _row(provider: Provider) -> str:
    title = provider.title + (f"; shut down on {provider.retired}" if provider.retired else "")
    blanks = (variable for blank in provider.blanks.values() for variable in blank.variables)
    address = _cell(provider.base_url, (*provider.base_url_variables, *provider.host_variables, *blanks))
    keys = _names((*provider.token_variables, *provider.key_variables))
    if provider.key_command:
        keys = f"`{provider.key_command}`"
    model = f"`{provider.default_model}`" if provider.default_model else "must be named"
    if provider.model_variables:
        model += f" ({_names(provider.model_variables)})"
    return f"| `{provider.name}:` | {title} | {address} | {keys or 'none'} | {model} |"


def _cell(text: str, variables: Iterable[str]) -> str:
    names = _names(variables)
    return f"{text} ({names})" if names else text


def _names(variables: Iterable[str]) -> str:
    return ", ".join(f"`{variable}`" for variable in variables)


if __name__ == "__main__":
    print(provider_table())
