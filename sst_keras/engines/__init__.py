"""Where jobs run: processes on this machine. Imports nothing else of the package."""
