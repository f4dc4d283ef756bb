# SPDX-License-Identifier: MIT
"""The laboratory of test/bench/run.py."""
