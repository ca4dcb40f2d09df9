// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask capi`: the C header, printed from `driver/capi`; the libraries, installed; and whether a
//! program in C can use them.

use crate::process::{
    cargo, install as install_tool, root, run as run_command, shown, target, version,
};
use crate::{Failure, Outcome};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The release that prints the header: another one may print other text.
const CBINDGEN: &str = "0.29.4";

/// Prints the header, or with `--check` finds out whether a C programmer is served, or installs.
pub(crate) fn run(args: &[String]) -> Outcome {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => write(&committed(), &header()?),
        ["--check"] => check(),
        ["--install", prefix] => install(Path::new(prefix), "release").map(|installed| {
            println!("capi: installed in {}", installed.prefix.display());
        }),
        _ => Err(Failure::Usage("capi takes nothing, --check, or --install PREFIX".into())),
    }
}

fn committed() -> PathBuf {
    root().join("driver/capi/include/esnic.h")
}

fn failed(what: impl AsRef<Path>, error: &std::io::Error) -> Failure {
    Failure::Work(format!("{}: {error}", what.as_ref().display()))
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| failed(path, &error))
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|error| failed(path, &error))
}

/// What a command prints on standard output, and on standard error.
fn output(mut command: Command) -> Result<(String, String), Failure> {
    let shown = shown(&command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::Work(format!("cannot start `{shown}`: {error}")))?;
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    if !output.status.success() {
        return Err(Failure::Work(format!("`{shown}` failed ({}): {err}", output.status)));
    }
    Ok((out.into_owned(), err.into_owned()))
}

/// The cbindgen of [`CBINDGEN`]: of the path, or else built below `target/tools`.
fn cbindgen() -> Result<Command, Failure> {
    let wanted = format!("cbindgen {CBINDGEN}");
    let own = root().join("target/tools/cbindgen");
    let built = own.join("bin/cbindgen");
    let suits = |program: &OsStr| version(Command::new(program)) == Some(wanted.clone());
    if suits(OsStr::new("cbindgen")) {
        return Ok(Command::new("cbindgen"));
    }
    if !suits(built.as_os_str()) {
        println!("{wanted} is missing: building it once, which takes some minutes");
        let own = own.to_string_lossy().into_owned();
        install_tool(&format!("cbindgen@{CBINDGEN}"), &["--root", &own])?;
    }
    Ok(Command::new(built))
}

/// The header, as the crate has it now.
fn header() -> Result<String, Failure> {
    let mut command = cbindgen()?;
    command.args(["--quiet", "--config", "cbindgen.toml", "--crate", "esnic-capi"]);
    command.arg("--lockfile").arg(root().join("Cargo.lock"));
    command.current_dir(root().join("driver/capi"));
    output(command).map(|(text, _)| text)
}

/// Where things were installed.
struct Installed {
    prefix: PathBuf,
    shared: PathBuf,
}

/// Builds the libraries and puts them, the header and `esnic.pc` below `prefix`.
fn install(prefix: &Path, profile: &str) -> Result<Installed, Failure> {
    let prefix = std::path::absolute(prefix).map_err(|error| failed(prefix, &error))?;
    let [include, lib, pkgconfig] =
        ["include", "lib", "lib/pkgconfig"].map(|place| prefix.join(place));
    for place in [&include, &lib, &pkgconfig] {
        fs::create_dir_all(place).map_err(|error| failed(place, &error))?;
    }
    let private = build(profile)?;
    let text = read(&committed())?;
    write(&include.join("esnic.h"), &text)?;
    let built = target().join(if profile == "dev" { "debug" } else { profile });
    let (major, minor) = (number(&text, "ESNIC_ABI_MAJOR")?, number(&text, "ESNIC_ABI_MINOR")?);
    let full = format!("libesnic_c.so.{major}.{minor}");
    let copies = [("libesnic_c.a", "libesnic_c.a"), ("libesnic_c.so", full.as_str())];
    for (from, to) in copies {
        let (from, to) = (built.join(from), lib.join(to));
        // Not into a file that a running program has mapped.
        let _ = fs::remove_file(&to);
        fs::copy(&from, &to).map_err(|error| failed(&from, &error))?;
    }
    let loaded = format!("libesnic_c.so.{major}");
    for (name, to) in [(loaded.as_str(), full.as_str()), ("libesnic_c.so", loaded.as_str())] {
        let link = lib.join(name);
        let _ = fs::remove_file(&link);
        symlink(to, &link).map_err(|error| failed(&link, &error))?;
    }
    let template = read(&root().join("driver/capi/esnic.pc.in"))?;
    let filled = template
        .replace("@PREFIX@", &prefix.to_string_lossy())
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@LIBS_PRIVATE@", &private);
    write(&pkgconfig.join("esnic.pc"), &filled)?;
    Ok(Installed { shared: lib.join(full), prefix })
}

/// Builds the libraries; says what a program that has the static one must be linked with.
fn build(profile: &str) -> Result<String, Failure> {
    println!("capi: building libesnic_c, profile {profile}");
    let mut command = cargo(&["rustc", "--locked", "--package", "esnic-capi", "--lib"]);
    command.args(["--profile", profile, "--", "--print", "native-static-libs"]);
    let (_, said) = output(command)?;
    let found = said.lines().find_map(|line| line.split_once("native-static-libs: "));
    found.map(|(_, libraries)| libraries.trim().to_owned()).ok_or_else(|| {
        Failure::Work(format!("rustc does not say which libraries the static one needs:\n{said}"))
    })
}

/// The number that the header gives a name.
fn number(header: &str, name: &str) -> Result<u32, Failure> {
    let line = format!("#define {name} ");
    let found = header.lines().find_map(|text| text.strip_prefix(&line)?.parse().ok());
    found.ok_or_else(|| Failure::Work(format!("the header has no number {name}")))
}

fn check() -> Outcome {
    current()?;
    let place = target().join("capi");
    let _ = fs::remove_dir_all(&place);
    let installed = install(&place.join("prefix"), "dev")?;
    symbols(&installed.shared)?;
    alone(&installed.prefix, "cc", &["-x", "c", "-std=c11"])?;
    alone(&installed.prefix, "c++", &["-x", "c++", "-std=c++11"])?;
    let lib = installed.prefix.join("lib");
    let flags = flags(&installed.prefix, false)?;
    example(&place.join("follow-shared"), &flags, &lib)?;
    // The static library by its name, since a linker prefers the shared one.
    let flags = self::flags(&installed.prefix, true)?;
    let named = |flag: String| if flag == "-lesnic_c" { "-l:libesnic_c.a".into() } else { flag };
    let flags: Vec<_> = flags.into_iter().map(named).collect();
    example(&place.join("follow-static"), &flags, Path::new("/nowhere"))
}

/// Whether the committed header is what the crate says.
fn current() -> Outcome {
    let (is, should) = (read(&committed())?, header()?);
    if is == should {
        println!("capi: include/esnic.h is current");
        return Ok(());
    }
    let line = is.lines().zip(should.lines()).take_while(|(is, should)| is == should).count() + 1;
    Err(Failure::Work(format!(
        "driver/capi/include/esnic.h differs from the crate at line {line}; `cargo xtask capi` prints it"
    )))
}

/// The functions that the header declares: names with a parenthesis behind them, outside comments.
fn declared(header: &str) -> BTreeSet<String> {
    let code = header.lines().filter(|line| !line.starts_with("//") && !line.starts_with(" *"));
    code.filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("esnic_"))
        .map(str::to_owned)
        .collect()
}

/// Whether the shared library shows the header's functions, and nothing else.
fn symbols(library: &Path) -> Outcome {
    let mut command = Command::new("nm");
    command.args(["--dynamic", "--defined-only", "--format=posix"]).arg(library);
    let (text, _) = output(command)?;
    let shown: BTreeSet<_> =
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    let declared = declared(&read(&committed())?);
    if shown == declared && !declared.is_empty() {
        println!("capi: the library shows the header's {} functions and nothing else", shown.len());
        return Ok(());
    }
    let differ: Vec<_> = shown.symmetric_difference(&declared).cloned().collect();
    Err(Failure::Work(format!("header and library do not agree about {}", differ.join(", "))))
}

/// Every warning, and each an error.
const STRICT: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];

/// Compiles the header alone.
fn alone(prefix: &Path, compiler: &str, language: &[&str]) -> Outcome {
    let source = prefix.with_file_name("alone.txt");
    write(&source, "#include <esnic.h>\n#include <esnic.h>\n")?;
    let mut command = Command::new(compiler);
    command.args(language).args(STRICT).arg("-fsyntax-only");
    command.arg("-I").arg(prefix.join("include")).arg(&source);
    run_command(command)?;
    println!("capi: the header compiles alone ({compiler} {})", language.join(" "));
    Ok(())
}

/// What `esnic.pc` tells a compiler.
fn flags(prefix: &Path, with_private: bool) -> Result<Vec<String>, Failure> {
    let place = prefix.join("lib/pkgconfig");
    let text = if version(Command::new("pkg-config")).is_some() {
        let mut command = Command::new("pkg-config");
        command.env("PKG_CONFIG_PATH", &place).args(["--cflags", "--libs"]);
        command.args(with_private.then_some("--static")).arg("esnic");
        output(command)?.0
    } else {
        println!("capi: there is no pkg-config: reading esnic.pc without it");
        told(&read(&place.join("esnic.pc"))?, with_private)
    };
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// The flags in the text of a `.pc` file, variables filled in.
fn told(text: &str, with_private: bool) -> String {
    let mut text = text.to_owned();
    let variables: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.chars().all(char::is_alphanumeric))
        .map(|(name, value)| (format!("${{{name}}}"), value.to_owned()))
        .collect();
    for _ in 0..variables.len() {
        for (name, value) in &variables {
            text = text.replace(name, value);
        }
    }
    let wanted = ["Cflags: ", "Libs: ", "Libs.private: "];
    let wanted = &wanted[..if with_private { 3 } else { 2 }];
    let found =
        wanted.iter().filter_map(|key| text.lines().find_map(|line| line.strip_prefix(key)));
    found.collect::<Vec<_>>().join(" ")
}

/// Compiles the example and runs it on the model.
fn example(program: &Path, flags: &[String], libraries: &Path) -> Outcome {
    let mut compile = Command::new("cc");
    compile.arg("-std=c11").args(STRICT).arg(root().join("driver/capi/examples/follow.c"));
    compile.args(flags).arg("-o").arg(program);
    run_command(compile)?;
    let mut example = Command::new(program);
    example.env("LD_LIBRARY_PATH", libraries);
    println!("capi: {}", program.file_name().unwrap_or_default().to_string_lossy());
    run_command(example)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pc_file_is_read_as_pkg_config_reads_it() {
        let text = "prefix=/p\nlibdir=${prefix}/lib\n\nName: x\nCflags: -I${prefix}/include\n\
                    Libs: -L${libdir} -lx\nLibs.private: -lm\n";
        assert_eq!(told(text, false), "-I/p/include -L/p/lib -lx");
        assert_eq!(told(text, true), "-I/p/include -L/p/lib -lx -lm");
    }

    #[test]
    fn declarations_are_told_from_what_is_written_about_them() {
        let text = "// esnic_not(this)\n * esnic_nor(that)\n#define ESNIC_X (1 << 2)\n\
                    int32_t esnic_a(int b);\nconst char *esnic_b(void);\nint32_t esnic_c(int a,\n";
        let found = declared(text);
        assert_eq!(
            found.iter().map(String::as_str).collect::<Vec<_>>(),
            ["esnic_a", "esnic_b", "esnic_c"]
        );
    }
}
