"""The attempts on each route, one file a family, as the routes are in `nanobot.api`.

A builder yields the attempts on one route, from the attacker's own sessions, on a victim's resources. Which
route has which builder stands in `nanobot.isolation.attempts`.
"""
