"""Many runs: sweeps, their records, and reports on them."""
