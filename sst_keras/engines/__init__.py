"""Where jobs run: on this machine or on a Ray cluster. Imports leaves of the package only."""
