"""The chat page that browsers get at `/`: static files, and the routes that serve them.

The page is a client like any other. It runs in the browser alone and uses the public routes only.
"""
