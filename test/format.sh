#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks that the sources are formatted as .clang-format says.
set -eu
cd "$(dirname "$0")/.."
git ls-files '*.c' '*.h' | xargs clang-format --dry-run --Werror
