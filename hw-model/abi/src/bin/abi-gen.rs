// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writes the files that are printed from the layout; with `--check` only compares them.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let check = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [arg] if arg == "--check" => true,
        _ => {
            eprintln!("usage: abi-gen [--check]");
            return ExitCode::from(2);
        }
    };
    // Cargo says at run time where this checkout is; the path at compile time may be another's.
    let Some(manifest) = std::env::var_os("CARGO_MANIFEST_DIR") else {
        eprintln!("run this through cargo: cargo run -p esnic-abi --bin abi-gen");
        return ExitCode::from(2);
    };
    let root = Path::new(&manifest).join("../..");
    let mut stale = false;
    for output in esnic_abi::emit::outputs() {
        let path = root.join(output.path);
        if std::fs::read_to_string(&path).is_ok_and(|text| text == output.text) {
            continue;
        }
        if check {
            eprintln!("{} is not what the layout says; run abi-gen", output.path);
            stale = true;
        } else if let Err(error) = std::fs::write(&path, &output.text) {
            eprintln!("cannot write {}: {error}", path.display());
            return ExitCode::from(2);
        } else {
            println!("wrote {}", output.path);
        }
    }
    ExitCode::from(u8::from(stale))
}
