// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What this boot is for: a text file that the host packs beside `/init`, a line an order.

use std::time::Duration;

/// Everything that the host ordered.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// PCI addresses of the functions under test.
    pub(crate) functions: Vec<String>,
    /// Only tests whose program or name contains one of these; all if there is none.
    pub(crate) wanted: Vec<String>,
    /// For the environment of tests.
    pub(crate) environment: Vec<(String, String)>,
    /// How many tests run at once.
    pub(crate) lanes: usize,
    /// How long one test may take.
    pub(crate) patience: Duration,
    /// A prompt instead of tests.
    pub(crate) shell: bool,
}

impl Order {
    /// Reads the file.
    pub(crate) fn read(path: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        Self::parse(&text).map_err(|error| format!("{path}: {error}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut order = Self { lanes: 1, patience: Duration::from_secs(60), ..Self::default() };
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "function" => order.functions.push(rest.to_owned()),
                "test" => order.wanted.push(rest.to_owned()),
                "env" => {
                    let (name, value) = rest.split_once('=').ok_or("env without `=`")?;
                    order.environment.push((name.to_owned(), value.to_owned()));
                }
                "lanes" => {
                    order.lanes = rest.parse().map_err(|_| format!("lanes {rest}"))?;
                }
                "patience" => {
                    let seconds = rest.parse().map_err(|_| format!("patience {rest}"))?;
                    order.patience = Duration::from_secs(seconds);
                }
                "shell" => order.shell = true,
                other => return Err(format!("`{other}` is no order")),
            }
        }
        Ok(order)
    }

    /// Whether a test is asked for.
    pub(crate) fn wants(&self, program: &str, test: &str) -> bool {
        let name = format!("{program} {test}");
        self.wanted.is_empty() || self.wanted.iter().any(|part| name.contains(part.as_str()))
    }
}
