"""`python -m nanobot` and the command `nanobot`."""

from nanobot.cli.main import main

if __name__ == "__main__":
    main()
