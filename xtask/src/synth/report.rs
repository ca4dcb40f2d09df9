// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a mapped device takes: by block, by memory, and how deep its logic is.

use super::cell::{self, Area};
use super::depth::{self, Models, Path};
use super::limits::DEPTH;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Pieces of block RAM and UltraRAM, in sixteenths of a column of 4,096 x 72.
const COLUMN: &[(&str, u64)] = &[("RAMB18E2", 1), ("RAMB36E2", 2), ("URAM288", 16)];
/// The block that has the SA table.
const SA: &str = "esnic_sa";

/// The figures of a block that have limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) area: Area,
    /// Of the deepest way inside of it; for the device, of any.
    pub(super) levels: u64,
}

impl Figures {
    /// With their names, in the order of limits.txt.
    pub(super) fn list(&self) -> [(&'static str, u64); 6] {
        let Area { luts, ffs, lut_rams, bram_halves, urams, .. } = self.area;
        [
            ("luts", luts),
            ("ffs", ffs),
            ("lut_rams", lut_rams),
            ("bram18", bram_halves),
            ("urams", urams),
            ("levels", self.levels),
        ]
    }

    pub(super) fn from_list(list: &[u64]) -> Option<Self> {
        let [luts, ffs, lut_rams, bram_halves, urams, levels] = *list else { return None };
        let area = Area { luts, ffs, lut_rams, bram_halves, urams, ..Area::default() };
        Some(Self { area, levels })
    }
}

/// A device, mapped and measured.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) capacity: u32,
    pub(super) device: Figures,
    pub(super) blocks: BTreeMap<String, Figures>,
    /// For each memory, the cells that it is made of.
    pub(super) memories: BTreeMap<String, BTreeMap<String, u64>>,
    /// The deepest way to each end, deepest first.
    pub(super) paths: Vec<Path>,
}

impl Report {
    /// Measures. Every block must be there once, or a part of the device was not looked at.
    pub(super) fn measure(
        capacity: u32,
        models: &Models,
        blocks: &[String],
    ) -> Result<Self, String> {
        let mut report = Self { capacity, ..Self::default() };
        for model in models.values() {
            let name = depth::module(&model.name).to_owned();
            let mut figures = Figures::default();
            for cell in model.cells.iter().filter(|cell| !models.contains_key(&cell.kind)) {
                let (kind, area) = cell::cell(&cell.kind)
                    .ok_or_else(|| format!("{name}: no rule for cell `{}`", cell.kind))?;
                figures.area.add(area);
                if matches!(kind, cell::Kind::LutRam | cell::Kind::Ram(_)) {
                    let memory =
                        format!("{name}.{}", depth::without_bits(depth::memory(&cell.name)));
                    let cells = report.memories.entry(memory).or_default();
                    *cells.entry(cell.kind.clone()).or_default() += 1;
                }
            }
            let inside = depth::inside(models, model)?;
            figures.levels = inside.first().map_or(0, |path| path.levels);
            report.device.area.add(figures.area);
            if report.blocks.insert(name.clone(), figures).is_some() {
                return Err(format!("{name} is there twice"));
            }
        }
        if let Some(lost) = blocks.iter().find(|block| !report.blocks.contains_key(*block)) {
            return Err(format!("{lost} is not in the netlist"));
        }
        let top = models.get("esnic_top").ok_or("there is no esnic_top in the netlist")?;
        report.paths = depth::through(models, top)?;
        report.device.levels = report.paths.first().map_or(0, |path| path.levels);
        Ok(report)
    }

    /// All that has limits.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Figures)> {
        let blocks = self.blocks.iter().map(|(name, figures)| (name.as_str(), figures));
        blocks.chain([("device", &self.device)])
    }

    /// Ways that have to be explained.
    pub(super) fn deep(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().take_while(|path| path.levels > DEPTH)
    }

    /// Sixteenths of columns: of the SA table, and of all block RAM and UltraRAM.
    pub(super) fn sa_columns(&self) -> u64 {
        self.columns_of(|memory| memory.split('.').next() == Some(SA))
    }

    pub(super) fn columns(&self) -> u64 {
        self.columns_of(|_| true)
    }

    fn columns_of(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        let memories = self.memories.iter().filter(|(name, _)| wanted(name));
        let cells = memories.flat_map(|(_, cells)| cells);
        cells.map(|(cell, count)| count * column(cell)).sum()
    }

    /// The deepest way that ends in a block.
    fn ending(&self, block: &str) -> u64 {
        let mut ends = self.paths.iter().filter(|path| path.block() == block);
        ends.next().map_or(0, |path| path.levels)
    }

    /// For a person.
    pub(super) fn table(&self) -> String {
        let mut text =
            format!("{} SAs, UltraScale+ (xcup), blocks mapped each by itself\n\n", self.capacity);
        let _ = writeln!(
            text,
            "{:<20} {:>7} {:>7} {:>8} {:>7} {:>6} {:>6} {:>7} {:>7}",
            "block", "luts", "ffs", "lut_rams", "carry4", "bram18", "urams", "levels", "ending"
        );
        for (name, figures) in self.all() {
            let ending = if name == "device" { figures.levels } else { self.ending(name) };
            let area = figures.area;
            let _ = writeln!(
                text,
                "{name:<20} {:>7} {:>7} {:>8} {:>7} {:>6} {:>6} {:>7} {ending:>7}",
                area.luts,
                area.ffs,
                area.lut_rams,
                area.carries,
                area.bram_halves,
                area.urams,
                figures.levels
            );
        }
        text.push_str("\nmemory                                cells\n");
        for (name, cells) in &self.memories {
            let cells: Vec<String> =
                cells.iter().map(|(cell, count)| format!("{count} {cell}")).collect();
            let _ = writeln!(text, "{name:<37} {}", cells.join(", "));
        }
        let _ = writeln!(
            text,
            "\ncolumns of 4,096 x 72: SA table {}, all {}\n",
            sixteenths(self.sa_columns()),
            sixteenths(self.columns())
        );
        let deep = self.deep().count();
        let _ = writeln!(
            text,
            "{deep} registers, memories and ports are more than {DEPTH} levels from others"
        );
        for path in self.deep() {
            let _ = writeln!(text, "{:>4} {} <- {}", path.levels, path.end, path.start);
            let _ = writeln!(text, "     by {}", path.via.join(" "));
        }
        text
    }

    /// For a program.
    pub(super) fn json(&self, violations: &[String]) -> String {
        let mut text = format!("{{\"capacity\":{},\"blocks\":{{", self.capacity);
        for (number, (name, figures)) in self.all().enumerate() {
            let _ = write!(text, "{}{}:{{", comma(number), quoted(name));
            for (number, (figure, value)) in figures.list().into_iter().enumerate() {
                let _ = write!(text, "{}{}:{value}", comma(number), quoted(figure));
            }
            let ending = if name == "device" { figures.levels } else { self.ending(name) };
            let _ = write!(text, ",\"carry4\":{},\"ending\":{ending}}}", figures.area.carries);
        }
        text.push_str("},\"memories\":{");
        for (number, (name, cells)) in self.memories.iter().enumerate() {
            let _ = write!(text, "{}{}:{{", comma(number), quoted(name));
            for (number, (cell, count)) in cells.iter().enumerate() {
                let _ = write!(text, "{}{}:{count}", comma(number), quoted(cell));
            }
            text.push('}');
        }
        let _ = write!(
            text,
            "}},\"column_sixteenths\":{{\"sa\":{},\"device\":{}}},\"deep\":[",
            self.sa_columns(),
            self.columns()
        );
        for (number, path) in self.deep().enumerate() {
            let via: Vec<String> = path.via.iter().map(|name| quoted(name)).collect();
            let _ = write!(
                text,
                "{}{{\"levels\":{},\"end\":{},\"start\":{},\"via\":[{}]}}",
                comma(number),
                path.levels,
                quoted(&path.end),
                quoted(&path.start),
                via.join(",")
            );
        }
        let violations: Vec<String> = violations.iter().map(|sentence| quoted(sentence)).collect();
        let _ = write!(text, "],\"violations\":[{}]}}", violations.join(","));
        text
    }

    /// Lines of limits.txt that let this report pass with 5 % and a level to spare.
    pub(super) fn proposal(&self) -> String {
        let mut text = String::new();
        for (name, figures) in self.all() {
            let _ = write!(text, "block {name:<18}");
            for (figure, value) in figures.list() {
                let spare = match figure {
                    "luts" | "ffs" | "lut_rams" => value.div_ceil(20),
                    "levels" => 1,
                    _ => 0,
                };
                let _ = write!(text, " {:>6}", value + spare);
            }
            text.push('\n');
        }
        text
    }
}

fn column(cell: &str) -> u64 {
    COLUMN.iter().find(|(name, _)| *name == cell).map_or(0, |(_, part)| *part)
}

/// A number of sixteenths, as a person writes it.
pub(super) fn sixteenths(count: u64) -> String {
    match (count / 16, count % 16) {
        (whole, 0) => whole.to_string(),
        (whole, part) => format!("{whole} {part}/16"),
    }
}

fn comma(number: usize) -> &'static str {
    if number == 0 { "" } else { "," }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::netlist;
    use super::*;

    /// A device of one block.
    pub(in super::super) fn report() -> Report {
        let mut report = Report { capacity: 64, ..Report::default() };
        report.blocks.insert("a".into(), Figures::from_list(&[10, 5, 0, 1, 1, 4]).unwrap());
        report.device = Figures::from_list(&[10, 5, 0, 1, 1, 13]).unwrap();
        report.memories.insert("a.u_m".into(), [("URAM288".into(), 1)].into());
        report.memories.insert("a.u_n".into(), [("RAMB18E2".into(), 1)].into());
        let path = |levels, end: &str| Path {
            levels,
            end: end.into(),
            start: "a.from_q".into(),
            via: vec!["a.\"x\"".into()],
        };
        report.paths = vec![path(13, "a.deep_q"), path(12, "a.other_q"), path(11, "a.shallow_q")];
        report
    }

    #[test]
    fn a_netlist_is_counted_by_block_and_by_memory() {
        let text = ".model esnic_top\n.inputs a\n.outputs y\n.gate LUT1 I0=a O=w\n.cname $1\n\
            .subckt esnic_sa$esnic_top.u_sa in=w out=y\n.cname u_sa\n.end\n\
            .model esnic_sa$esnic_top.u_sa\n.inputs in\n.outputs out\n\
            .gate URAM288 DIN_A[0]=in DOUT_A[0]=out\n.cname u_ctl.mem.0.0\n\
            .gate RAMB18E2 DINADIN[0]=in\n.cname gen[1].u_x.mem.0.0\n\
            .gate RAMB18E2 DINADIN[0]=in\n.cname gen[2].u_x.mem.0.0\n.end\n";
        let models: Models = netlist::parse(text)
            .unwrap()
            .into_iter()
            .map(|model| (model.name.clone(), model))
            .collect();
        let blocks = ["esnic_top".to_owned(), "esnic_sa".to_owned()];
        let report = Report::measure(64, &models, &blocks).unwrap();
        assert_eq!(report.device.list().map(|(_, value)| value), [1, 0, 0, 2, 1, 3]);
        assert_eq!(report.blocks["esnic_top"].list().map(|(_, value)| value), [1, 0, 0, 0, 0, 1]);
        assert_eq!(report.memories["esnic_sa.u_ctl"]["URAM288"], 1);
        assert_eq!(report.memories["esnic_sa.gen.u_x"]["RAMB18E2"], 2);
        assert_eq!(
            (sixteenths(report.sa_columns()), sixteenths(report.columns())),
            ("1 2/16".into(), "1 2/16".into())
        );
        // A LUT and the write port; the UltraRAM's three levels and the port.
        assert_eq!(report.paths.iter().map(|path| path.levels).collect::<Vec<_>>(), [3, 1, 1]);
        let lost = Report::measure(64, &models, &["esnic_qp".to_owned()]).unwrap_err();
        assert_eq!(lost, "esnic_qp is not in the netlist");
    }

    #[test]
    fn json_is_quoted() {
        let json = report().json(&["say \"no\"".into()]);
        assert!(
            json.contains(r#""via":["a.\"x\""]"#)
                && json.ends_with(r#""violations":["say \"no\""]}"#),
            "{json}"
        );
    }

    #[test]
    fn a_proposal_is_read_as_limits() {
        let limits = super::super::limits::Limits::parse(&report().proposal()).unwrap();
        assert_eq!(limits.blocks["a"].list().map(|(_, value)| value), [11, 6, 0, 1, 1, 5]);
    }
}
