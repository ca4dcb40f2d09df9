// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Netlists as yosys writes them (`write_blif -cname`): models of cells, by the names that the RTL has.

use std::collections::HashMap;

/// A net of a model. The first is every constant: nothing drives it and nothing waits for it.
pub(super) type Net = usize;
/// The net of all constants.
pub(super) const CONSTANT: Net = 0;

/// A cell of the device, or an instance of another model.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) kind: String,
    pub(super) name: String,
    /// Pin and net.
    pub(super) pins: Vec<(String, Net)>,
}

/// One module, mapped.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) inputs: Vec<(String, Net)>,
    pub(super) outputs: Vec<(String, Net)>,
    pub(super) cells: Vec<Cell>,
    /// Two names of one net.
    pub(super) joins: Vec<(Net, Net)>,
    /// Names of all nets.
    pub(super) nets: Vec<String>,
    index: HashMap<String, Net>,
}

impl Model {
    fn new(name: &str) -> Self {
        let mut model = Self { name: name.to_owned(), ..Self::default() };
        for constant in ["$false", "$true", "$undef"] {
            model.index.insert(constant.to_owned(), CONSTANT);
        }
        model.nets.push("$false".to_owned());
        model
    }

    fn net(&mut self, name: &str) -> Net {
        if let Some(net) = self.index.get(name) {
            return *net;
        }
        self.nets.push(name.to_owned());
        self.index.insert(name.to_owned(), self.nets.len() - 1);
        self.nets.len() - 1
    }
}

/// Reads all models of a file. What it does not know it refuses: a cell that is left out makes every
/// figure too good.
pub(super) fn parse(text: &str) -> Result<Vec<Model>, String> {
    let mut models = Vec::new();
    let mut model: Option<Model> = None;
    // A `.names` without inputs is a constant; what makes it 1 stands in the lines below it.
    let mut cover = Cover::None;
    for (number, line) in logical_lines(text) {
        let fault = |what: &str| format!("line {number}: {what}: `{}`", shortened(&line));
        let mut words = line.split_ascii_whitespace();
        let Some(head) = words.next() else { continue };
        if let Some(name) = line.strip_prefix(".model ") {
            if model.is_some() {
                return Err(fault("a model inside of another"));
            }
            model = Some(Model::new(name.trim()));
            continue;
        }
        let Some(now) = model.as_mut() else { return Err(fault("outside of any model")) };
        if !head.starts_with('.') {
            match (cover, line.as_str()) {
                (Cover::Constant, "0" | "1") | (Cover::Join, "1 1") => continue,
                _ => return Err(fault("logic that was not mapped to cells")),
            }
        }
        cover = Cover::None;
        match head {
            ".inputs" => now.inputs = words.map(|word| (word.to_owned(), now.net(word))).collect(),
            ".outputs" => {
                now.outputs = words.map(|word| (word.to_owned(), now.net(word))).collect()
            }
            ".names" => {
                let nets: Vec<Net> = words.map(|word| now.net(word)).collect();
                cover = match nets[..] {
                    [CONSTANT] => Cover::Constant,
                    [from, to] => {
                        now.joins.push((from, to));
                        Cover::Join
                    }
                    _ => return Err(fault("logic that was not mapped to cells")),
                };
            }
            ".subckt" | ".gate" => {
                let kind = words.next().ok_or_else(|| fault("no kind"))?.to_owned();
                let mut pins = Vec::new();
                for word in words {
                    let (pin, net) =
                        word.split_once('=').ok_or_else(|| fault("a pin without a net"))?;
                    if !net.is_empty() {
                        pins.push((pin.to_owned(), now.net(net)));
                    }
                }
                now.cells.push(Cell { kind, name: String::new(), pins });
            }
            ".cname" => {
                let cell = now.cells.last_mut().ok_or_else(|| fault("a name without a cell"))?;
                words.next().unwrap_or_default().clone_into(&mut cell.name);
            }
            ".end" => models.extend(model.take()),
            _ => return Err(fault("not known")),
        }
    }
    match model {
        None if models.is_empty() => Err("there is no model in it".to_owned()),
        None => Ok(models),
        Some(open) => Err(format!("model {} has no end", open.name)),
    }
}

#[derive(Clone, Copy)]
enum Cover {
    None,
    Constant,
    Join,
}

/// Lines without comments, with those that end in a backslash joined; and their numbers.
fn logical_lines(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    let mut lines = text.lines().enumerate();
    std::iter::from_fn(move || {
        let (number, first) = lines.next()?;
        let mut line = String::new();
        let mut part = first;
        while let Some(open) = part.strip_suffix('\\') {
            line.push_str(open);
            line.push(' ');
            part = lines.next().map_or("", |(_, next)| next);
        }
        line.push_str(part);
        if line.starts_with('#') {
            line.clear();
        }
        Some((number + 1, line.trim().to_owned()))
    })
}

fn shortened(line: &str) -> String {
    line.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_cells_and_joins_are_read() {
        let text = "# by hand\n\n.model m\n.inputs a b[0] \\\n b[1]\n.outputs y\n\
            .names $false\n.names $true\n1\n.names n y\n1 1\n\
            .subckt LUT2 I0=a I1=b[1] O=n\n.cname $abc$1\n.gate FDCE D=n CE=$true Q=q[0] CLR=\n.end\n";
        let models = parse(text).unwrap();
        let [model] = &models[..] else { panic!("{} models", models.len()) };
        assert_eq!(model.name, "m");
        assert_eq!(
            model.inputs.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            ["a", "b[0]", "b[1]"]
        );
        let [lut, ff] = &model.cells[..] else { panic!("{:?}", model.cells) };
        assert_eq!((lut.kind.as_str(), lut.name.as_str(), lut.pins.len()), ("LUT2", "$abc$1", 3));
        // An open pin is none.
        assert_eq!(ff.pins.iter().map(|(pin, _)| pin).collect::<Vec<_>>(), ["D", "CE", "Q"]);
        assert_eq!(ff.pins[1].1, CONSTANT);
        let [(from, to)] = model.joins[..] else { panic!("{:?}", model.joins) };
        assert_eq!((model.nets[from].as_str(), model.nets[to].as_str()), ("n", "y"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (text, wanted) in [
            ("", "no model"),
            (".model m\n", "no end"),
            (".inputs a\n", "outside"),
            (".model m\n.model n\n", "inside"),
            (".model m\n.latch a b\n.end\n", "not known"),
            (".model m\n.names a b y\n11 1\n.end\n", "not mapped"),
            (".model m\n.names a y\n0 1\n.end\n", "not mapped"),
            (".model m\n.gate LUT1 I0\n.end\n", "without a net"),
            (".model m\n.cname x\n.end\n", "without a cell"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text:?}: {error}");
        }
    }
}
