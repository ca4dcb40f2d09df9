// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writes the seeds of a target into a directory: `fuzz-seeds TARGET DIRECTORY`.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

fn write(target: &str, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for (k, seed) in esnic_fuzz::seeds::of(target).iter().enumerate() {
        fs::write(directory.join(format!("seed-{k:03}")), seed)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let [target, directory] = &args[..] else {
        eprintln!("usage: fuzz-seeds TARGET DIRECTORY");
        return ExitCode::from(2);
    };
    match write(target, Path::new(directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fuzz-seeds: {directory}: {error}");
            ExitCode::FAILURE
        }
    }
}
