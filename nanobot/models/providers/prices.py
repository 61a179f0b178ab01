"""List prices of a few well-known models, US dollars for a million tokens."""

from collections.abc import Mapping

from nanobot.core.accounts import Price

PRICES_OF = "2026-11"
PRICES: Mapping[str, Price] = {
    "openai:gpt-5": Price(1.25, 10, 0.125),
    "openai:gpt-5-mini": Price(0.25, 2, 0.025),
    "openai:gpt-5-nano": Price(0.05, 0.4, 0.005),
    "openai:gpt-5.4-mini": Price(0.75, 4.5, 0.075),
    "openai:gpt-5.5": Price(5, 30, 0.5),
    "openai:gpt-6-luna": Price(0.1, 0.5, 0.01),
    "openai:gpt-4.1": Price(2, 8, 0.5),
    "openai:gpt-4.1-mini": Price(0.4, 1.6, 0.1),
    "openai:gpt-4o": Price(2.5, 10, 1.25),
    "openai:gpt-4o-mini": Price(0.15, 0.6, 0.075),
    "openai:o3": Price(2, 8, 0.5),
    # Prompts of up to 100,000 tokens; longer ones cost five times as much.
    "anthropic:claude-haiku-5-5": Price(0.1, 0.5, 0.01),
    "anthropic:claude-sonnet-5-5": Price(2, 10, 0.1),
    "anthropic:claude-opus-5-5": Price(4, 20, 0.2),
    "anthropic:claude-fable-5-1": Price(10, 50, 0.25),
    "anthropic:claude-opus-5": Price(5, 25, 0.5),
    "anthropic:claude-sonnet-5": Price(2, 10, 0.2),
    "anthropic:claude-opus-4-8": Price(5, 25, 0.5),
    "anthropic:claude-opus-4-5": Price(5, 25, 0.5),
    "anthropic:claude-sonnet-4-6": Price(3, 15, 0.3),
    "anthropic:claude-sonnet-4-5": Price(3, 15, 0.3),
    "anthropic:claude-haiku-4-5": Price(1, 5, 0.1),
    "gemini:gemini-2.5-pro": Price(1.25, 10),
    "gemini:gemini-2.5-flash": Price(0.3, 2.5),
    "gemini:gemini-2.5-flash-lite": Price(0.1, 0.4),
    "gemini:gemini-3.1-pro-preview": Price(2, 12, 0.2),
    "gemini:gemini-3.5-flash": Price(1.5, 9, 0.15),
    "xai:grok-4.3": Price(1.25, 2.5, 0.2),
    "xai:grok-4.5": Price(2, 6, 0.5),
    "mistral:mistral-small-latest": Price(0.15, 0.6),
    "mistral:mistral-large-latest": Price(0.5, 1.5),
    "moonshot:kimi-k2.6": Price(0.95, 4, 0.16),
    "minimax:MiniMax-M3": Price(0.3, 1.2, 0.06),
    "zai:glm-5.2": Price(1.4, 4.4, 0.26),
    "perplexity:sonar": Price(1, 1),
    "echo": Price(0, 0),
    "local": Price(0, 0),
    "local:small": Price(0, 0),
    "local:tiny": Price(0, 0),
}
"""As the providers listed them in the month `PRICES_OF`. The settings (`[prices]`) take precedence."""
