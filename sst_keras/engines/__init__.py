"""Where jobs run: on this machine or on a Ray cluster. Imports nothing else of the package."""
