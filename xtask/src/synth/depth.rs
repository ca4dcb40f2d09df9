// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How deep the logic is between one register and the next: inside of a block, and through all of them.

use super::cell::{self, Depth, Kind};
use super::netlist::{CONSTANT, Model, Net};
use std::collections::HashMap;

/// Models by their names.
pub(super) type Models = HashMap<String, Model>;

/// The deepest way to one register, memory or port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) levels: u64,
    /// Block and name, without the number of a bit.
    pub(super) end: String,
    pub(super) start: String,
    /// What has a name on the way, from start to end.
    pub(super) via: Vec<String>,
}

impl Path {
    /// The block in which it ends.
    pub(super) fn block(&self) -> &str {
        self.end.split('.').next().unwrap_or_default()
    }
}

/// The module that a model was made of: slang adds where it stands.
pub(super) fn module(model: &str) -> &str {
    model.split('$').next().unwrap_or(model)
}

/// The deepest way to each end, deepest first, through `top` and all that is in it.
pub(super) fn through(models: &Models, top: &Model) -> Result<Vec<Path>, String> {
    let mut graph = Graph::default();
    graph.place(models, top, true)?;
    graph.paths()
}

/// The same for one model, with what is in it left out: its edges begin and end paths too.
pub(super) fn inside(models: &Models, model: &Model) -> Result<Vec<Path>, String> {
    let mut graph = Graph::default();
    graph.place(models, model, false)?;
    graph.paths()
}

/// A cell of the device with its nets in the graph.
struct Leaf {
    kind: Kind,
    block: usize,
    name: String,
    pins: Vec<(String, Net)>,
}

/// A netlist without hierarchy. Nets that are one share a root.
#[derive(Default)]
struct Graph {
    blocks: Vec<String>,
    roots: Vec<Net>,
    /// Block and name of each net, before any were joined.
    names: Vec<(usize, String)>,
    leaves: Vec<Leaf>,
    /// Where paths begin and end that no cell begins or ends.
    inputs: Vec<Net>,
    outputs: Vec<Net>,
}

impl Graph {
    /// Adds a model, and with `deep` all that is in it; gives the nets of its ports.
    fn place(
        &mut self,
        models: &Models,
        model: &Model,
        deep: bool,
    ) -> Result<HashMap<String, Net>, String> {
        let outermost = self.blocks.is_empty();
        let number = self.blocks.len();
        self.blocks.push(module(&model.name).to_owned());
        let base = self.names.len();
        for name in &model.nets {
            self.roots.push(self.names.len());
            self.names.push((number, name.clone()));
        }
        // A constant never changes: nothing begins or passes there.
        let at = |net: Net| (net != CONSTANT).then_some(base + net);
        for (one, other) in &model.joins {
            self.join(at(*one), at(*other));
        }
        for cell in &model.cells {
            let pins = cell.pins.iter().filter_map(|(pin, net)| Some((pin.clone(), at(*net)?)));
            let Some(inner) = models.get(&cell.kind) else {
                let (kind, _) = cell::cell(&cell.kind)
                    .ok_or_else(|| format!("{}: no rule for cell `{}`", model.name, cell.kind))?;
                self.leaves.push(Leaf {
                    kind,
                    block: number,
                    name: cell.name.clone(),
                    pins: pins.collect(),
                });
                continue;
            };
            if deep {
                let pins: Vec<_> = pins.collect();
                let ports = self.place(models, inner, deep)?;
                for (pin, net) in pins {
                    self.join(ports.get(&pin).copied(), Some(net));
                }
            } else {
                let drives = |pin: &str| inner.outputs.iter().any(|(name, _)| name == pin);
                for (pin, net) in pins {
                    if drives(&pin) { self.inputs.push(net) } else { self.outputs.push(net) }
                }
            }
        }
        let ports = |list: &[(String, Net)]| -> Vec<(String, Net)> {
            list.iter().filter_map(|(name, net)| Some((name.clone(), at(*net)?))).collect()
        };
        let (inputs, outputs) = (ports(&model.inputs), ports(&model.outputs));
        if outermost {
            self.inputs.extend(inputs.iter().map(|(_, net)| *net));
            self.outputs.extend(outputs.iter().map(|(_, net)| *net));
        }
        Ok(inputs.into_iter().chain(outputs).collect())
    }

    fn root(&self, net: Net) -> Net {
        let mut net = net;
        while self.roots[net] != net {
            net = self.roots[net];
        }
        net
    }

    fn join(&mut self, one: Option<Net>, other: Option<Net>) {
        let (Some(one), Some(other)) = (one, other) else { return };
        let (one, other) = (self.root(one), self.root(other));
        // The older one leads, so that the ways to the roots stay short.
        self.roots[one.max(other)] = one.min(other);
    }

    fn paths(self) -> Result<Vec<Path>, String> {
        Search::new(&self).run()
    }
}

/// The longest way to each net of a graph.
struct Search<'a> {
    graph: &'a Graph,
    roots: Vec<Net>,
    /// The names that people gave to each net.
    named: HashMap<Net, Vec<&'a (usize, String)>>,
    driver: Vec<Option<usize>>,
    /// How deep a net is, and what was before it on the deepest way.
    arrival: Vec<Option<(Depth, Option<Net>)>>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph) -> Self {
        let count = graph.names.len();
        let roots: Vec<Net> = (0..count).map(|net| graph.root(net)).collect();
        let mut named: HashMap<Net, Vec<&(usize, String)>> = HashMap::new();
        for (net, name) in graph.names.iter().enumerate() {
            if !name.1.contains('$') {
                named.entry(roots[net]).or_default().push(name);
            }
        }
        let mut driver = vec![None; count];
        for (number, leaf) in graph.leaves.iter().enumerate() {
            for (_, net) in leaf.pins.iter().filter(|(pin, _)| cell::is_output(leaf.kind, pin)) {
                driver[roots[*net]] = Some(number);
            }
        }
        Self { graph, roots, named, driver, arrival: vec![None; count] }
    }

    fn run(mut self) -> Result<Vec<Path>, String> {
        let arcs = self.arcs();
        self.spread(&arcs)?;
        let mut best: HashMap<String, (Depth, Net)> = HashMap::new();
        let mut end = |name: String, net: Net, arrival: Option<(Depth, Option<Net>)>| {
            if let Some((depth, _)) = arrival {
                let entry = best.entry(name).or_insert((depth, net));
                // Of equals the first net, so that a report does not change by itself.
                if (depth, std::cmp::Reverse(net)) > (entry.0, std::cmp::Reverse(entry.1)) {
                    *entry = (depth, net);
                }
            }
        };
        for leaf in &self.graph.leaves {
            for (_, net) in leaf.pins.iter().filter(|(pin, _)| cell::is_end(leaf.kind, pin)) {
                let net = self.roots[*net];
                end(self.leaf_name(leaf), net, self.arrival[net]);
            }
        }
        for net in &self.graph.outputs {
            let net = self.roots[*net];
            end(self.net_name(net, 0), net, self.arrival[net]);
        }
        let mut paths: Vec<Path> =
            best.into_iter().map(|(end, (depth, net))| self.path(end, depth, net)).collect();
        paths.sort_by(|a, b| b.levels.cmp(&a.levels).then_with(|| a.end.cmp(&b.end)));
        Ok(paths)
    }

    /// For each net, where it leads within the cycle, and how deep that is.
    fn arcs(&self) -> Vec<Vec<(Net, Depth)>> {
        let mut arcs = vec![Vec::new(); self.roots.len()];
        for leaf in &self.graph.leaves {
            for (to, out) in leaf.pins.iter().filter(|(pin, _)| cell::is_output(leaf.kind, pin)) {
                for (from, input) in
                    leaf.pins.iter().filter(|(pin, _)| !cell::is_output(leaf.kind, pin))
                {
                    let input = self.roots[*input];
                    let chained = self.driver[input]
                        .is_some_and(|number| self.graph.leaves[number].kind == Kind::Carry);
                    if let Some(depth) = cell::arc(leaf.kind, from, to, chained) {
                        arcs[input].push((self.roots[*out], depth));
                    }
                }
            }
        }
        arcs
    }

    /// Spreads arrivals from where paths begin, each net after all that lead to it.
    fn spread(&mut self, arcs: &[Vec<(Net, Depth)>]) -> Result<(), String> {
        for net in &self.graph.inputs {
            self.arrival[self.roots[*net]] = Some((0, None));
        }
        for leaf in &self.graph.leaves {
            let depth = match leaf.kind {
                Kind::Register | Kind::Shift => 0,
                Kind::Ram(depth) => depth,
                // What is stored comes with the clock; the address adds its level to that.
                Kind::LutRam => cell::LEVEL,
                Kind::Logic(_) | Kind::Carry => continue,
            };
            for (_, net) in leaf.pins.iter().filter(|(pin, _)| cell::is_output(leaf.kind, pin)) {
                self.arrival[self.roots[*net]] = Some((depth, None));
            }
        }
        let mut waits = vec![0_usize; arcs.len()];
        for (to, _) in arcs.iter().flatten() {
            waits[*to] += 1;
        }
        let mut ready: Vec<Net> =
            (0..arcs.len()).filter(|net| self.roots[*net] == *net && waits[*net] == 0).collect();
        while let Some(net) = ready.pop() {
            for (to, depth) in &arcs[net] {
                if let Some((before, _)) = self.arrival[net] {
                    let new = before + depth;
                    if self.arrival[*to].is_none_or(|(old, _)| new > old) {
                        self.arrival[*to] = Some((new, Some(net)));
                    }
                }
                waits[*to] -= 1;
                if waits[*to] == 0 {
                    ready.push(*to);
                }
            }
        }
        match waits.iter().position(|left| *left != 0) {
            None => Ok(()),
            Some(net) => Err(format!("logic in a loop, at `{}`", self.net_name(net, 0))),
        }
    }

    fn path(&self, end: String, depth: Depth, net: Net) -> Path {
        let mut via = Vec::new();
        let mut net = net;
        while let Some((_, Some(before))) = self.arrival[net] {
            if self.named.contains_key(&net) {
                via.push(self.net_name(net, 0));
            }
            net = before;
        }
        via.reverse();
        via.dedup();
        let start = match self.driver[net] {
            Some(number) => self.leaf_name(&self.graph.leaves[number]),
            None => self.net_name(net, 0),
        };
        Path { levels: u64::from(depth.div_ceil(cell::LEVEL)), end, start, via }
    }

    /// A register by what it holds, a memory by its own name.
    fn leaf_name(&self, leaf: &Leaf) -> String {
        match leaf.kind {
            Kind::Register => match leaf.name.split_once('\\') {
                Some((held, _)) if !held.contains('$') => self.in_block(leaf.block, held),
                _ => {
                    let out = leaf.pins.iter().find(|(pin, _)| pin == "Q");
                    out.map_or_else(String::new, |(_, net)| {
                        self.net_name(self.roots[*net], leaf.block)
                    })
                }
            },
            _ => self.in_block(leaf.block, memory(&leaf.name)),
        }
    }

    /// The best of the names of a net: one of the block that asks, a short one.
    fn net_name(&self, net: Net, block: usize) -> String {
        let candidates = self.named.get(&self.roots[net]);
        let best = candidates.into_iter().flatten();
        match best.min_by_key(|(at, name)| (*at != block, name.len(), name)) {
            Some((at, name)) => self.in_block(*at, name),
            None => self.in_block(self.graph.names[net].0, "(no name)"),
        }
    }

    fn in_block(&self, block: usize, name: &str) -> String {
        format!("{}.{}", self.graph.blocks[block], without_bits(name))
    }
}

/// What a cell of a memory is a piece of.
pub(super) fn memory(cell: &str) -> &str {
    cell.split(".mem").next().unwrap_or(cell)
}

/// A name without what stands in brackets.
pub(super) fn without_bits(name: &str) -> String {
    let mut depth = 0_u32;
    name.chars()
        .filter(|letter| {
            match letter {
                '[' => depth += 1,
                ']' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::netlist;
    use super::*;

    /// Two blocks: a register, two LUTs to the edge; an adder of two pieces, a register.
    const TWO: &str = ".model top\n.inputs clk a\n.outputs y\n\
        .subckt left$top.u_left clk=clk a=a out=w\n.cname u_left\n\
        .subckt right$top.u_right clk=clk in=w y=y\n.cname u_right\n.end\n\
        .model left$top.u_left\n.inputs clk a\n.outputs out\n\
        .gate FDCE C=clk D=a Q=q\n.cname one_q[3]\\FDCE\n\
        .gate LUT1 I0=q O=half\n.cname $1\n.gate LUT2 I0=half I1=a O=$2\n.cname $2\n\
        .names $2 out\n1 1\n.end\n\
        .model right$top.u_right\n.inputs clk in\n.outputs y\n\
        .gate CARRY4 S[0]=in CI=$false CO[3]=c O[0]=o0\n.cname $3\n\
        .gate CARRY4 CI=c O[3]=sum S[0]=$true\n.cname $4\n\
        .gate FDCE C=clk D=sum Q=y\n.cname gen[1].sum_q\\FDCE\n.end\n";

    fn models(text: &str) -> Models {
        let parsed = netlist::parse(text).unwrap();
        parsed.into_iter().map(|model| (model.name.clone(), model)).collect()
    }

    #[test]
    fn a_path_leads_through_blocks_and_keeps_its_names() {
        let models = models(TWO);
        let paths = through(&models, &models["top"]).unwrap();
        // Two LUTs, a level into the chain, a sixteenth along it.
        let want = Path {
            levels: 4,
            end: "right.gen.sum_q".into(),
            start: "left.one_q".into(),
            via: vec!["left.half".into(), "top.w".into(), "right.c".into(), "right.sum".into()],
        };
        assert_eq!(paths[0], want);
        assert_eq!(paths[0].block(), "right");
        assert_eq!(
            paths.iter().find(|path| path.end == "left.one_q").map(|path| path.levels),
            Some(0)
        );
    }

    #[test]
    fn inside_of_a_block_its_edges_begin_and_end_paths() {
        let models = models(TWO);
        let left = inside(&models, &models["left$top.u_left"]).unwrap();
        assert_eq!((left[0].levels, left[0].end.as_str()), (2, "left.out"));
        let right = inside(&models, &models["right$top.u_right"]).unwrap();
        assert_eq!((right[0].levels, right[0].start.as_str()), (2, "right.in"));
        // Its blocks are not its own: what leaves one begins.
        let top = inside(&models, &models["top"]).unwrap();
        assert!(top.iter().all(|path| path.levels == 0), "{top:?}");
    }

    #[test]
    fn loops_and_strange_cells_are_refused() {
        let text = ".model top\n.inputs a\n.outputs x\n.gate LUT2 I0=a I1=y O=x\n.gate LUT1 I0=x O=y\n.end\n";
        let models_ = models(text);
        assert!(through(&models_, &models_["top"]).unwrap_err().contains("loop"));
        let models_ = models(".model top\n.inputs a\n.outputs x\n.gate DSP48E2 A=a P=x\n.end\n");
        assert!(through(&models_, &models_["top"]).unwrap_err().contains("DSP48E2"));
    }
}
