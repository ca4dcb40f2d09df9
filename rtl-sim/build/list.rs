// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which builds of the device are compiled.

use esnic_abi::Params;

/// A device with its parameters.
pub(crate) struct Build {
    /// Part of C++ names, so letters, digits and underscores.
    pub(crate) name: String,
    pub(crate) params: Params,
    /// Compiled in a hurry.
    pub(crate) quick: bool,
}

impl Build {
    /// Whether FEATURES and ALGS are those that the RTL has by itself.
    pub(crate) fn offers_everything(&self) -> bool {
        let all = Params::default();
        self.params.features == all.features && self.params.algs == all.algs
    }
}

/// The builds that people run; with `tests` also all that the contract tests ask for.
pub(crate) fn builds(tests: bool) -> Vec<Build> {
    let default = Params::default();
    let small = Params {
        sa_capacity: 64,
        queue_pairs: 4,
        ring_log2: 10,
        direct_log2: 4,
        stage_log2: 4,
        ..default
    };
    let build = |name: &str, params| Build { name: name.to_owned(), params, quick: false };
    let mut all = vec![build("default", default), build("small", small)];
    if tests {
        all.extend(for_tests(small));
    }
    all
}

/// Variants that a contract test wants once.
fn for_tests(small: Params) -> Vec<Build> {
    let default = Params::default();
    let mut all = Vec::new();
    let mut add = |name: String, params| {
        all.push(Build { name, params, quick: true });
    };
    for direct_log2 in [0, 1, 2, 3, 5, 6] {
        let name = format!("direct{direct_log2}");
        add(name, Params { direct_log2, ..small });
    }
    for stage_log2 in [0, 1, 6] {
        add(format!("stage{stage_log2}"), Params { stage_log2, ..small });
    }
    for max_window in [100, 1024] {
        add(format!("window{max_window}"), Params { max_window, ..small });
    }
    // Rows, stage buffers: the largest table, and one that is scrubbed for a while.
    for (sa_capacity, stage_log2) in [(4096, 4), (1 << 20, 4), (1 << 20, 6)] {
        add(format!("rows{sa_capacity}_{stage_log2}"), Params { sa_capacity, stage_log2, ..small });
    }
    // Of these, only the lengths of the BARs are looked at.
    for sa_capacity in [2, 64, 4096, 1 << 20] {
        add(format!("bar{sa_capacity}"), Params { sa_capacity, stage_log2: 1, ..default });
    }
    let pairs8 = Params { queue_pairs: 8, ..small };
    add("pairs8".to_owned(), pairs8);
    let pairs64 = Params { sa_capacity: 64, queue_pairs: 64, ..default };
    add("pairs64".to_owned(), pairs64);
    let odd = Params {
        sa_capacity: 32,
        queue_pairs: 3,
        direct_log2: 2,
        stage_log2: 1,
        ring_log2: 5,
        max_window: 1024,
        ..default
    };
    add("odd".to_owned(), odd);
    // Each ability missing in turn.
    for bit in bits(small.features) {
        let features = small.features & !(1 << bit);
        add(format!("feature{bit}"), Params { features, ..small });
    }
    for bit in [1, 3, 5, 6, 16, 17, 18] {
        let algs = small.algs & !(1 << bit);
        add(format!("alg{bit}"), Params { algs, ..small });
    }
    all
}

/// The bits that are set.
fn bits(word: u32) -> impl Iterator<Item = u32> {
    (0..u32::BITS).filter(move |bit| word & (1 << bit) != 0)
}
