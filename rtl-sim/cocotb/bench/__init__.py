# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A host for the device, made of cocotb and cocotbext-axi: nothing of the Rust side is in it.

What it knows of the device stands in `docs/registers.md`, which it parses, and in `docs/device.md`,
whose rules it cites as R1 to R47.
"""
