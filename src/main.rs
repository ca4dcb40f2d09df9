// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The command `esnic`; see the library of the same name.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    esnic::main()
}
