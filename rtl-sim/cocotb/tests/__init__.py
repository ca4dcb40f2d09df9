# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Tests of the device at its edges. A name says what is shown, the text by which rules."""
