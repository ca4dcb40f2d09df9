// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which builds of the device are compiled.
//!
//! Features, algorithms, the largest window and the largest ring are straps, which a device gets when it is made.
//! All else is compiled in, so that every combination that somebody wants is one more build.

use esnic_abi::Params;

/// A device with its parameters.
pub(crate) struct Build {
    /// Part of C++ names, so letters, digits and underscores.
    pub(crate) name: String,
    /// Straps have their default here.
    pub(crate) params: Params,
    /// Compiled in a hurry.
    pub(crate) quick: bool,
}

/// The builds that people run; with `tests` also those that only tests ask for.
pub(crate) fn builds(tests: bool) -> Vec<Build> {
    let default = Params::default();
    let build = |name: &str, params| Build { name: name.to_owned(), params, quick: false };
    let mut all =
        vec![build("default", default), build("large", Params { sa_capacity: 65_536, ..default })];
    if tests {
        // What nearly every contract test uses.
        let small = Params {
            sa_capacity: 64,
            queue_pairs: 4,
            ring_log2: 10,
            direct_log2: 4,
            stage_log2: 4,
            ..default
        };
        all.push(build("small", small));
        all.extend(for_tests(small));
    }
    all
}

/// Variants that a test wants once.
fn for_tests(small: Params) -> Vec<Build> {
    let default = Params::default();
    let mut all = Vec::new();
    let mut add = |name: String, params| {
        all.push(Build { name, params, quick: true });
    };
    for direct_log2 in [0, 1, 2, 3, 5, 6] {
        add(format!("direct{direct_log2}"), Params { direct_log2, ..small });
    }
    for stage_log2 in [0, 1, 6] {
        add(format!("stage{stage_log2}"), Params { stage_log2, ..small });
    }
    // Rows, stage buffers: the largest table, and one that is scrubbed for a while.
    for (sa_capacity, stage_log2) in [(4096, 4), (1 << 20, 4), (1 << 20, 6)] {
        add(format!("rows{sa_capacity}_{stage_log2}"), Params { sa_capacity, stage_log2, ..small });
    }
    // Of these, only the lengths of the BARs are looked at.
    for sa_capacity in [2, 64, 4096, 1 << 20] {
        add(format!("bar{sa_capacity}"), Params { sa_capacity, stage_log2: 1, ..default });
    }
    add("pairs8".to_owned(), Params { queue_pairs: 8, ..small });
    add("pairs64".to_owned(), Params { sa_capacity: 64, queue_pairs: 64, ..default });
    add("direct1_stage1".to_owned(), Params { direct_log2: 1, stage_log2: 1, ..small });
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
    all
}
