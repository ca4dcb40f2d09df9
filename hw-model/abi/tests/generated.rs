// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The committed outputs of the layout are current, and the layout holds together.

use esnic_abi::layout::{Access, Kind, Reset};
use esnic_abi::{ABI_HASH, LAYOUT, layout};
use std::path::Path;

#[test]
fn committed_outputs_are_what_the_layout_prints() {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let root = Path::new(&manifest).join("../..");
    for output in esnic_abi::emit::outputs() {
        let committed = std::fs::read_to_string(root.join(output.path)).unwrap_or_default();
        assert!(
            committed == output.text,
            "{} is stale: run `cargo run -p esnic-abi --bin abi-gen`",
            output.path
        );
    }
}

#[test]
fn records_have_no_gaps() {
    for record in LAYOUT.records {
        let mut end = 0;
        for member in record.members {
            assert_eq!(member.offset, end, "{}.{}", record.name, member.name);
            end += member.len_bytes;
            if let Kind::Record(inner) = member.kind {
                let inner = LAYOUT.records.iter().find(|r| r.name == inner).expect("it is listed");
                assert_eq!(inner.len_bytes, member.len_bytes);
            }
        }
        assert_eq!(end, record.len_bytes, "{}", record.name);
    }
}

#[test]
fn blocks_do_not_overlap() {
    let mut spans: Vec<_> = LAYOUT
        .blocks
        .iter()
        .map(|b| (b.bar, b.base, b.base + b.stride * (b.count - 1) + b.size, b.name))
        .collect();
    spans.sort_unstable();
    for pair in spans.windows(2) {
        assert!(pair[0].0 != pair[1].0 || pair[0].2 <= pair[1].1, "{pair:?}");
    }
}

#[test]
fn names_and_numbers_are_unique() {
    for codes in LAYOUT.codes {
        for (i, a) in codes.codes.iter().enumerate() {
            for b in &codes.codes[i + 1..] {
                assert!(a.name != b.name && a.value != b.value, "{}: {}", codes.name, a.name);
            }
            assert!(a.value < 1 << codes.width, "{} fits its width", a.name);
        }
    }
    for constant in LAYOUT.constants {
        assert!(u128::from(constant.value) < 1 << constant.width, "{} fits", constant.name);
    }
}

/// A hash that misses something would let two layouts meet: every single change must show.
#[test]
fn the_hash_sees_every_kind_of_change() {
    assert_eq!(layout::hash(&LAYOUT), ABI_HASH);
    let leak = |blocks: Vec<layout::Block>| -> &'static [layout::Block] { blocks.leak() };
    let mut variants = Vec::new();
    let mut with_register = |change: &dyn Fn(&mut layout::Register)| {
        let mut blocks = LAYOUT.blocks.to_vec();
        let mut registers = blocks[0].registers.to_vec();
        change(&mut registers[7]);
        blocks[0].registers = registers.leak();
        variants.push(layout::hash(&layout::Layout { blocks: leak(blocks), ..LAYOUT }));
    };
    with_register(&|r| r.name = "OTHER");
    with_register(&|r| r.offset += 4);
    with_register(&|r| r.access = Access::WO);
    with_register(&|r| r.reset = Reset::Value(1));
    with_register(&|r| r.bits = 64);
    with_register(&|r| r.count = 2);
    with_register(&|r| r.fields = &r.fields[1..]);
    variants.push(layout::hash(&layout::Layout { records: &LAYOUT.records[1..], ..LAYOUT }));
    variants.push(layout::hash(&layout::Layout { codes: &LAYOUT.codes[1..], ..LAYOUT }));
    variants.push(layout::hash(&layout::Layout { constants: &LAYOUT.constants[1..], ..LAYOUT }));
    variants.push(ABI_HASH);
    let count = variants.len();
    variants.sort_unstable();
    variants.dedup();
    assert_eq!(variants.len(), count);
}
